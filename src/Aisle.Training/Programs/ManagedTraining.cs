using System.Collections.Immutable;
using Aisle.Tensors;
using Aisle.Training.Data;
using Aisle.Training.Numerics;

namespace Aisle.Training.Programs;

/// <summary>
/// A model in plain C# with gradients written by hand, made trainable: derive, make its parameters in the constructor, and say what one sample's loss is and what
/// it adds to the gradients. Needs no libtorch. Not thread-safe.
/// </summary>
/// <remarks>For the same bits on different machines use + − × ÷ and square roots alone: exponentials and logarithms are the C library's. Machines that differ refuse each other by their canaries.</remarks>
public abstract class ManagedTraining(TrainingRecipe recipe, long samples) : ITrainable
{
    private readonly SliceOrder _order = new(recipe, samples);
    private readonly List<ManagedParameter> _parameters = [];
    private float[] _weights = [];
    private float[] _gradients = [];

    public int ParameterCount => Weights.Length;

    public Span<float> Weights => Laid()._weights;

    public Span<float> Gradients => Laid()._gradients;

    public IReadOnlyList<TensorSlot> Tensors => [.. _parameters.Select(parameter => parameter.Slot)];

    public IReadOnlyList<ParameterRun> Runs => field ??= [.. _parameters.Select(parameter => new ParameterRun(parameter.Slot.Offset, parameter.Slot.Length, parameter.Slot.Decays ? ParameterKind.Decayed : ParameterKind.Undecayed))];

    public long TokensIn(long step) => recipe.TokensPerStep;

    public void Initialize(ulong seed)
    {
        for (var i = 0; i < _parameters.Count; i++)
        {
            var chance = new Chance(seed, (ulong)i);
            foreach (ref var weight in Weights.Slice(_parameters[i].Slot.Offset, _parameters[i].Slot.Length)) weight = (float)(chance.Normal() * _parameters[i].Deviation);
        }
    }

    public SliceLoss ComputeSlice(long step, int slice, GradientReady? ready = null)
    {
        Gradients.Clear();
        var given = _order.At(step, slice);
        var sum = 0.0;
        foreach (var sample in given.Samples) sum += Learn(sample, given.Chance);
        return new SliceLoss(sum, given.Samples.Length);
    }

    public void SaveModel(string folder)
    {
        using (var file = File.Create(Path.Combine(folder, "model.safetensors"))) Safetensors.Write(file, _parameters.Select(parameter => parameter.Slot), Weights);
        if (Evaluate() is { Count: > 0 } figures) ModelReport.WriteEvaluation(folder, figures);
    }

    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>One sample's loss; its gradient is added to the parameters' gradient rows. A pure function of the weights, the sample and the chance.</summary>
    /// <param name="chance">The slice's own, e.g. for negatives.</param>
    protected abstract double Learn(long sample, Chance chance);

    /// <summary>Measures the finished model; the figures are stored beside it. A pure function of the weights.</summary>
    protected virtual IReadOnlyDictionary<string, double> Evaluate() => ImmutableDictionary<string, double>.Empty;

    /// <summary>For what the model holds beside its parameters.</summary>
    protected virtual void Dispose(bool disposing)
    {
    }

    /// <summary>A matrix of parameters; for the constructor alone.</summary>
    /// <param name="deviation">Of its starting values, about normal around 0.</param>
    /// <param name="decays">Whether weight decay pulls it towards zero.</param>
    protected ManagedParameter Parameter(string name, int rows, int columns, double deviation, bool decays = true)
    {
        if (_weights.Length > 0) throw new InvalidOperationException($"{name} was made after the model was first used. Make all parameters in the constructor.");
        var offset = _parameters is [.., var last] ? last.Slot.Offset + last.Slot.Length : 0;
        var parameter = new ManagedParameter(this, new TensorSlot(name, [rows, columns], offset, decays), deviation);
        _parameters.Add(parameter);
        return parameter;
    }

    private ManagedTraining Laid()
    {
        if (_weights.Length > 0) return this;
        var length = _parameters.Sum(parameter => parameter.Slot.Length);
        _weights = GC.AllocateArray<float>(length, pinned: true);
        _gradients = GC.AllocateArray<float>(length, pinned: true);
        return this;
    }
}

/// <summary>A matrix of parameters and its gradient, seen by rows.</summary>
public sealed class ManagedParameter
{
    private readonly ManagedTraining _model;

    internal ManagedParameter(ManagedTraining model, TensorSlot slot, double deviation) => (_model, Slot, Deviation) = (model, slot, deviation);

    public int Rows => Slot.Shape[0];

    public int Columns => Slot.Shape[1];

    internal TensorSlot Slot { get; }

    internal double Deviation { get; }

    /// <summary>Values of one row.</summary>
    public ReadOnlySpan<float> Row(int row) => Of(_model.Weights, row);

    /// <summary>Gradient of one row: add to it.</summary>
    public Span<float> Gradient(int row) => Of(_model.Gradients, row);

    private Span<float> Of(Span<float> all, int row)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)Rows, nameof(row));
        return all.Slice(Slot.Offset + row * Columns, Columns);
    }
}
