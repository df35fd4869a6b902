using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Aisle.Tensors;
using Aisle.Training.Data;
using Aisle.Training.Numerics;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Aisle.Training.Programs;

/// <summary>
/// A module's parameters and running statistics on two flat blocks, weights and gradients, in the order of their names in the module. Backward adds to the
/// gradient block in place. Not thread-safe.
/// </summary>
internal sealed unsafe class TorchParameters : IDisposable
{
    private readonly nn.Module _module;
    private readonly ImmutableArray<(string Name, nn.Module Module)> _modules;
    private readonly List<Adopted> _adopted = [];
    private readonly List<RunningStatistic> _statistics = [];
    private readonly List<(string Name, Tensor Tensor)> _untracked = [];
    private readonly Arena _weights, _gradients;

    /// <exception cref="AisleException">AISLE-5177: it cannot be trained exactly.</exception>
    public TorchParameters(nn.Module module)
    {
        _module = module;
        _modules = [("", module), .. module.named_modules().Where(named => !ReferenceEquals(named.module, module)).DistinctBy(named => named.module)];
        foreach (var (name, part) in _modules) ThrowIfForbidden(name, part);
        var length = FindParameters();
        length = FindStatistics(length);
        FindUntracked();
        Count = checked((int)length);
        if (Count == 0) throw Refused("The module has no parameters", "Assign its layers to fields and call RegisterComponents() at the end of its constructor.");
        (_weights, _gradients) = (new Arena(Count), new Arena(Count));
        foreach (var parameter in _adopted) parameter.Move(_weights, _gradients);
        Slots = [.. _adopted.Select(parameter => parameter.Slot), .. _statistics.Select(statistic => statistic.Slot)];
        Runs = [.. _adopted.Select(parameter => parameter.Run), .. _statistics.Select(statistic => statistic.Run)];
    }

    public int Count { get; }

    public Span<float> Weights => _weights.GetSpan();

    public Span<float> Gradients => _gradients.GetSpan();

    public ImmutableArray<TensorSlot> Slots { get; }

    public ImmutableArray<ParameterRun> Runs { get; }

    public static Span<float> View(Tensor tensor) => MemoryMarshal.Cast<byte, float>(tensor.bytes);

    public void Initialize(ulong seed, WeightStart? start)
    {
        for (var i = 0; i < _adopted.Count; i++)
        {
            var values = _weights.GetSpan().Slice(_adopted[i].Slot.Offset, _adopted[i].Slot.Length);
            var own = start?.Invoke(_adopted[i].Slot.Name, _adopted[i].Parameter.shape, values, new Chance(seed, (ulong)i)) ?? false;
            if (!own) _adopted[i].Start(values, new Chance(seed, (ulong)i));
        }
        foreach (var statistic in _statistics) _weights.GetSpan().Slice(statistic.Slot.Offset, statistic.Slot.Length).Fill(statistic.StartsAt);
    }

    public void BeginSlice()
    {
        Gradients.Clear();
        foreach (var statistic in _statistics) statistic.Begin(Weights);
    }

    public void EndSlice(long samples)
    {
        foreach (var statistic in _statistics) statistic.End(Weights, Gradients, samples);
    }

    /// <summary>Evaluation mode with the averaged statistics, until disposed.</summary>
    public IDisposable Evaluating()
    {
        foreach (var statistic in _statistics) statistic.Load(Weights);
        return new EvaluationMode(_module, [.. _modules.Select(named => (named.Module, named.Module.training))]);
    }

    /// <summary>What the module registered beside its parameters and statistics: it may read it, never change it.</summary>
    public byte[][] CopyOfUntracked() => [.. _untracked.Select(buffer => buffer.Tensor.bytes.ToArray())];

    public void ThrowIfChanged(byte[][] before)
    {
        for (var i = 0; i < _untracked.Count; i++)
        {
            if (!_untracked[i].Tensor.bytes.SequenceEqual(before[i]))
            {
                throw Refused(
                    $"The buffer {_untracked[i].Name} changes while a slice is computed: its value would depend on which slices a worker happens to compute",
                    "Compute it from the slice, or make it a parameter without gradient and set it by hand between runs.");
            }
        }
    }

    /// <summary>Backward must still add to our memory; a call of zero_grad, `to` or `half` in the loss takes it away.</summary>
    public void ThrowIfMoved()
    {
        foreach (var parameter in _adopted)
        {
            if (!parameter.IsInPlace(_weights, _gradients))
            {
                throw Refused($"The parameter {parameter.Slot.Name} or its gradient was replaced while a slice was computed", "Leave out zero_grad, to, half and optimisers of your own: gradients are cleared and applied for you.");
            }
        }
    }

    public void Dispose()
    {
        foreach (var parameter in _adopted) parameter.Dispose();
        ((IDisposable)_weights).Dispose();
        ((IDisposable)_gradients).Dispose();
    }

    private static void ThrowIfForbidden(string name, nn.Module module)
    {
        for (var type = module.GetType(); type is not null && type != typeof(nn.Module); type = type.BaseType)
        {
            if (type.Name.Contains("SyncBatchNorm", StringComparison.OrdinalIgnoreCase))
            {
                throw Refused(
                    $"{Named(name)} is a {module.GetType().Name}: it exchanges statistics between workers within a step, so the result would depend on how many there are",
                    "Use BatchNorm, which normalises by the slice here, or GroupNorm or LayerNorm, which need no statistics.");
            }
        }
        if (module is NormBase { track_running_stats: true, momentum: null })
            throw Refused($"{Named(name)} averages its statistics over all batches so far (momentum null), which depends on how many there were", "Give it a momentum, such as 0.1.");
    }

    private long FindParameters()
    {
        var owners = new Dictionary<IntPtr, nn.Module>();
        foreach (var (_, part) in _modules)
        {
            foreach (var (_, parameter) in part.named_parameters(recurse: false)) owners.TryAdd(parameter.Handle, part);
        }
        var seen = new HashSet<IntPtr>();
        long length = 0;
        foreach (var (name, parameter) in _module.named_parameters(recurse: true))
        {
            if (!seen.Add(parameter.Handle)) continue; // tied: one place, both gradients are added there
            if (parameter.dtype != ScalarType.Float32 || parameter.device_type != DeviceType.CPU)
                throw Refused($"The parameter {name} is {parameter.dtype} on {parameter.device_type}", "Make it Float32 on the CPU; the sums and the optimiser are exact for these alone.");
            var shape = parameter.shape.Select(size => checked((int)size)).ToImmutableArray();
            var slot = new TensorSlot(name, shape, checked((int)length), Decays: shape.Length >= 2 && parameter.requires_grad);
            _adopted.Add(new Adopted(slot, parameter, owners.GetValueOrDefault(parameter.Handle)));
            length += slot.Length;
        }
        return length;
    }

    private long FindStatistics(long length)
    {
        foreach (var (name, part) in _modules)
        {
            if (part is not NormBase { track_running_stats: true, momentum: { } momentum } norm) continue;
            norm.momentum = 1; // what it then writes is the slice's own statistic
            foreach (var (what, startsAt) in (ReadOnlySpan<(string, float)>)[("running_mean", 0), ("running_var", 1)])
            {
                var statistic = new RunningStatistic(
                    norm, what, new TensorSlot(name.Length == 0 ? what : $"{name}.{what}", [checked((int)norm.num_features)], checked((int)length), Decays: false), momentum, startsAt);
                _statistics.Add(statistic);
                length += statistic.Slot.Length;
            }
        }
        return length;
    }

    private void FindUntracked()
    {
        HashSet<string> known = ["running_mean", "running_var", "num_batches_tracked"];
        foreach (var (name, part) in _modules)
        {
            foreach (var (buffer, tensor) in part.named_buffers(recurse: false))
            {
                if (part is NormBase && known.Contains(buffer)) continue;
                _untracked.Add((name.Length == 0 ? buffer : $"{name}.{buffer}", tensor));
            }
        }
    }

    private static string Named(string module) => module.Length == 0 ? "The module" : $"The module's part {module}";

    private static AisleException Refused(string what, string next) => new("AISLE-5177", $"{what}.", next);

    /// <summary>One parameter in its place.</summary>
    private sealed class Adopted(TensorSlot slot, Parameter parameter, nn.Module? owner) : IDisposable
    {
        private readonly float[] _constructed = View(parameter).ToArray();
        private Tensor? _gradient;

        public TensorSlot Slot => slot;

        public Parameter Parameter => parameter;

        public ParameterRun Run => new(slot.Offset, slot.Length, !parameter.requires_grad ? ParameterKind.Frozen : slot.Decays ? ParameterKind.Decayed : ParameterKind.Undecayed);

        public void Move(Arena weights, Arena gradients)
        {
            using (no_grad())
            using (var place = NativeTensor.Over(weights.At(slot.Offset), parameter.shape))
            {
                parameter.set_(place);
            }
            _constructed.CopyTo(View(parameter));
            if (!parameter.requires_grad) return;
            _gradient = NativeTensor.Over(gradients.At(slot.Offset), parameter.shape);
            parameter.grad = _gradient;
        }

        public bool IsInPlace(Arena weights, Arena gradients)
        {
            if (!Starts(parameter, weights.At(slot.Offset))) return false;
            if (!parameter.requires_grad) return true;
            using var gradient = parameter.grad;
            return gradient is not null && Starts(gradient, gradients.At(slot.Offset));

            static bool Starts(Tensor tensor, float* place) => tensor.numel() == 0 || (float*)System.Runtime.CompilerServices.Unsafe.AsPointer(ref MemoryMarshal.GetReference(View(tensor))) == place;
        }

        /// <summary>As PyTorch's layers begin, but from our own chance: matrices uniform within 1/√inputs, tables of embeddings near zero, norms 1, biases 0. Else as the constructor made it.</summary>
        public void Start(Span<float> values, Chance chance)
        {
            var shape = slot.Shape;
            if (owner is Embedding or EmbeddingBag)
            {
                for (var i = 0; i < values.Length; i++) values[i] = (float)(chance.Normal() * 0.02);
            }
            else if (shape.Length >= 2)
            {
                var bound = 1 / Math.Sqrt(slot.Length / (double)Math.Max(1, shape[0]));
                for (var i = 0; i < values.Length; i++) values[i] = (float)((chance.Unit() * 2 - 1) * bound);
            }
            else if (owner is Linear or Convolution)
            {
                values.Clear();
            }
            else
            {
                _constructed.CopyTo(values);
            }
        }

        public void Dispose() => _gradient?.Dispose();
    }

    /// <summary>A running mean or variance: in place of a gradient stands the slice's statistic, times its samples, so that the fold gives the step's mean.</summary>
    private sealed class RunningStatistic(NormBase norm, string what, TensorSlot slot, double momentum, float startsAt)
    {
        private const float Unvisited = -1; // a variance is never negative
        private bool _wasTraining;

        public TensorSlot Slot => slot;

        public ParameterRun Run => new(slot.Offset, slot.Length, ParameterKind.RunningAverage, (float)momentum);

        public double Momentum => momentum;

        public float StartsAt => startsAt;

        private Tensor Buffer => what == "running_mean" ? norm.running_mean! : norm.running_var!;

        public void Begin(ReadOnlySpan<float> weights)
        {
            _wasTraining = norm.training;
            if (_wasTraining) View(Buffer).Fill(Unvisited);
            else Load(weights);
        }

        public void End(ReadOnlySpan<float> weights, Span<float> gradients, long samples)
        {
            var place = gradients.Slice(slot.Offset, slot.Length);
            var isVisited = _wasTraining && View(norm.running_var!)[0] != Unvisited;
            var values = isVisited ? View(Buffer) : weights.Slice(slot.Offset, slot.Length);
            for (var i = 0; i < place.Length; i++) place[i] = values[i] * samples;
        }

        public void Load(ReadOnlySpan<float> weights) => weights.Slice(slot.Offset, slot.Length).CopyTo(View(Buffer));
    }

    private sealed class EvaluationMode : IDisposable
    {
        private readonly ImmutableArray<(nn.Module Module, bool Training)> _before;

        public EvaluationMode(nn.Module module, ImmutableArray<(nn.Module, bool)> before)
        {
            _before = before;
            module.eval();
        }

        // Parents come first, so what a part was of its own is set last.
        public void Dispose()
        {
            foreach (var (module, training) in _before) module.train(training);
        }
    }
}
