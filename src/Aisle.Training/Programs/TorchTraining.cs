using Aisle.Tensors;
using Aisle.Training.Data;
using Aisle.Training.Numerics;
using TorchSharp;
using static TorchSharp.torch;

namespace Aisle.Training.Programs;

/// <summary>Sets a parameter's starting values.</summary>
/// <param name="chance">This parameter's own, from the run's seed.</param>
/// <returns>False to leave the parameter to the default: what PyTorch's layers use, from the same chance.</returns>
public delegate bool WeightStart(string name, ReadOnlySpan<long> shape, Span<float> values, Chance chance);

/// <summary>
/// A TorchSharp module with a loss over numbered samples, made trainable. One thread; a slice's tensors live no longer than the slice; libtorch's generator is
/// seeded for each slice, so that dropout is the same whoever computes it. BatchNorm normalises by the slice and averages its running statistics over all slices of a step.
/// </summary>
/// <remarks>The module's parameters are moved onto one flat block of memory: do not replace, cast or move them afterwards. Not thread-safe.</remarks>
public sealed class TorchTraining<TModule> : ITrainable where TModule : nn.Module
{
    private const int SlicesBetweenCollections = 16;
    private const int ProofsOfPurity = 2;
    private readonly TrainingRecipe _recipe;
    private readonly SliceOrder _order;
    private readonly TModule _module;
    private readonly Func<TModule, TrainingSlice, Tensor> _loss;
    private readonly TorchParameters _parameters;
    private bool _isProven;
    private long _slices;

    /// <param name="samples">How many the data has; the loss is asked for them by number.</param>
    /// <param name="model">Makes the module. Called here, after libtorch was found and loaded: make no tensor before.</param>
    /// <param name="loss">
    /// The slice's losses, one number a sample (<c>reduction: Reduction.None</c>), or one a token where the recipe's samples have several: a pure function of the module's parameters and the slice.
    /// </param>
    /// <exception cref="AisleException">AISLE-5001 to 5007: no libtorch. AISLE-5177: the module cannot be trained exactly; the message says why and what to do.</exception>
    public TorchTraining(TrainingRecipe recipe, long samples, Func<TModule> model, Func<TModule, TrainingSlice, Tensor> loss)
    {
        NativeTorch.Load();
        (_recipe, _loss) = (recipe, loss);
        _order = new SliceOrder(recipe, samples);
        using (random.manual_seed((long)recipe.Seed)) _module = model();
        _parameters = new TorchParameters(_module);
        Runs = _parameters.Runs;
    }

    /// <summary>Starting values for parameters that want others than the default's.</summary>
    public WeightStart? Start { get; init; }

    /// <summary>Measures the finished model, in evaluation mode and without gradients; the figures are stored beside it. A pure function of the module's parameters.</summary>
    public Func<TModule, IEnumerable<KeyValuePair<string, double>>>? Evaluate { get; init; }

    public int ParameterCount => _parameters.Count;

    IReadOnlyList<TensorSlot> ITrainable.Tensors => _parameters.Slots;

    public Span<float> Weights => _parameters.Weights;

    public Span<float> Gradients => _parameters.Gradients;

    public IReadOnlyList<ParameterRun> Runs { get; }

    public long TokensIn(long step) => _recipe.TokensPerStep;

    public string NumericClass => Tensors.NumericClass.OfLibTorch().Fingerprint;

    public void Initialize(ulong seed) => _parameters.Initialize(seed, Start);

    /// <exception cref="AisleException">AISLE-5178: what the loss gave is not one number a sample, or not the same when computed again.</exception>
    public SliceLoss ComputeSlice(long step, int slice, GradientReady? ready = null)
    {
        if (!_isProven)
        {
            Prove(step, slice);
            _isProven = true;
        }
        // Implicit scalars (`x * 0.5`) hold native memory that only finalizers free, and too few managed bytes to bring a collection by themselves.
        if (++_slices % SlicesBetweenCollections == 0) GC.Collect(0);
        return Compute(step, slice);
    }

    public void SaveModel(string folder)
    {
        using (var file = File.Create(Path.Combine(folder, "model.safetensors"))) Safetensors.Write(file, _parameters.Slots, Weights);
        if (Evaluate is null) return;
        using var scope = NewDisposeScope();
        using var still = no_grad();
        using var generator = random.manual_seed((long)_recipe.Seed);
        using var evaluating = _parameters.Evaluating();
        ModelReport.WriteEvaluation(folder, Evaluate(_module));
    }

    public void Dispose()
    {
        _module.Dispose();
        _parameters.Dispose();
    }

    private SliceLoss Compute(long step, int index)
    {
        var slice = _order.At(step, index);
        _parameters.BeginSlice();
        using var scope = NewDisposeScope();
        using var generator = random.manual_seed((long)new Chance(_recipe.Seed, (ulong)step, (ulong)index).Next());
        var losses = _loss(_module, slice);
        var expected = (long)_recipe.SamplesPerSlice * _recipe.TokensPerSample;
        if (losses.numel() != expected || losses.dtype != ScalarType.Float32)
        {
            throw new AisleException(
                "AISLE-5178", $"The loss of a slice is {losses.dtype} [{string.Join(", ", losses.shape)}], where {expected} numbers of {ScalarType.Float32} are expected: one for each sample{(_recipe.TokensPerSample > 1 ? " and token" : "")}.",
                "Give the losses one by one (`reduction: Reduction.None`); they are added up and averaged over the whole step for you.");
        }
        losses.sum().backward();
        _parameters.EndSlice(expected);
        var sum = 0.0;
        foreach (var loss in TorchParameters.View(losses.detach().contiguous())) sum += loss;
        return new SliceLoss(sum, expected);
    }

    /// <summary>Whether the module is what it must be: the same bits when the same slice is computed again, in our memory, with no state beside its parameters.</summary>
    private void Prove(long step, int slice)
    {
        var first = Compute(step, slice);
        var gradients = Gradients.ToArray();
        var untouched = _parameters.CopyOfUntracked();
        for (var again = 1; again <= ProofsOfPurity; again++)
        {
            // What the loss allocates next begins elsewhere than before: tensors over managed memory show what they are.
            GC.KeepAlive(new byte[16 * again]);
            var second = Compute(step, slice);
            _parameters.ThrowIfMoved();
            _parameters.ThrowIfChanged(untouched);
            if (BitConverter.DoubleToInt64Bits(first.Sum) == BitConverter.DoubleToInt64Bits(second.Sum) && BytesOf(gradients).SequenceEqual(BytesOf(Gradients))) continue;
            throw new AisleException(
                "AISLE-5178",
                "One slice computed again gave another gradient: the loss makes a tensor over a managed array, draws from a chance of its own, reads a clock, or keeps something from one slice to the next.",
                "Make data a tensor with SliceTensor.Of instead of torch.tensor, draw from the slice's Chance or libtorch's default generator (seeded for each slice), and keep what must last in parameters.");
        }

        static ReadOnlySpan<byte> BytesOf(ReadOnlySpan<float> values) => System.Runtime.InteropServices.MemoryMarshal.AsBytes(values);
    }
}
