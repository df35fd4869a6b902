using System.Runtime.InteropServices;
using Aisle.Training.Numerics;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Aisle.Training.Programs.Tests;

/// <summary>Modules of TorchSharp as something that can be trained, computed in this process.</summary>
public sealed class TorchTrainingTests
{
    private static readonly TrainingRecipe s_recipe = new() { Steps = 10, Slices = 2, SamplesPerSlice = 6, LearningRate = 0.01, Seed = 3 };

    [Fact]
    public void Weights_start_from_the_seed_alone_and_never_from_the_constructor()
    {
        using var one = Train(() => new Net());
        random.manual_seed(99).Dispose();
        using var two = Train(() => new Net());
        one.Initialize(7);
        two.Initialize(7);
        Assert.Equal(one.Weights.ToArray(), two.Weights.ToArray());
        two.Initialize(8);
        Assert.NotEqual(one.Weights.ToArray(), two.Weights.ToArray());
    }

    [Fact]
    public void A_slice_gives_the_same_bits_whatever_was_computed_before_dropout_included()
    {
        using var model = Train(() => new Net());
        model.Initialize(1);
        var loss = model.ComputeSlice(4, 1);
        var gradients = model.Gradients.ToArray();
        model.ComputeSlice(0, 0);
        model.ComputeSlice(9, 1);
        var again = model.ComputeSlice(4, 1);
        Assert.Equal(BitConverter.DoubleToInt64Bits(loss.Sum), BitConverter.DoubleToInt64Bits(again.Sum));
        Assert.True(MemoryMarshal.AsBytes<float>(gradients).SequenceEqual(MemoryMarshal.AsBytes((ReadOnlySpan<float>)model.Gradients)));
    }

    [Fact]
    public void Where_managed_memory_happens_to_lie_changes_no_bit()
    {
        using var model = Train(() => new Plain());
        model.Initialize(1);
        model.ComputeSlice(0, 0);
        var gradients = model.Gradients.ToArray();
        for (var i = 0; i < 64; i++)
        {
            GC.KeepAlive(new byte[8 * (i % 8) + 1]);
            model.ComputeSlice(0, 0);
            Assert.True(MemoryMarshal.AsBytes<float>(gradients).SequenceEqual(MemoryMarshal.AsBytes((ReadOnlySpan<float>)model.Gradients)));
        }
    }

    [Fact]
    public void Gradients_are_the_modules_own_sum_over_the_samples()
    {
        using var model = Train(() => new Plain());
        model.Initialize(1);
        model.ComputeSlice(0, 0);
        var taken = model.Gradients.ToArray();
        // By finite differences of the loss itself, parameter by parameter.
        for (var i = 0; i < model.ParameterCount; i += 3)
        {
            var before = model.Weights[i];
            model.Weights[i] = before + 1e-2f;
            var above = model.ComputeSlice(0, 0).Sum;
            model.Weights[i] = before - 1e-2f;
            var below = model.ComputeSlice(0, 0).Sum;
            model.Weights[i] = before;
            Assert.Equal((above - below) / 2e-2, taken[i], 1e-2);
        }
    }

    [Fact]
    public void Running_statistics_are_averages_with_the_layers_momentum_and_their_gradient_is_the_slices_statistic()
    {
        using var model = Train(() => new Net());
        model.Initialize(1);
        model.ComputeSlice(0, 0);
        var statistics = model.Runs.Where(run => run.Kind == ParameterKind.RunningAverage).ToList();
        Assert.Equal([8, 8], statistics.Select(run => run.Length));
        Assert.All(statistics, run => Assert.Equal(0.2f, run.Momentum));
        Assert.All(model.Weights.Slice(statistics[0].Offset, 8).ToArray(), mean => Assert.Equal(0, mean));
        Assert.All(model.Weights.Slice(statistics[1].Offset, 8).ToArray(), variance => Assert.Equal(1, variance));
        Assert.All(model.Gradients.Slice(statistics[1].Offset, 8).ToArray(), variance => Assert.InRange(variance / 6, 1e-6f, 10f));
    }

    [Fact]
    public void Frozen_parameters_keep_their_gradient_at_zero_and_tied_ones_stand_once()
    {
        using var model = Train(() => new Tied());
        model.Initialize(1);
        model.ComputeSlice(0, 0);
        Assert.Equal(4 * 4 + 4 * 4, model.ParameterCount); // the tied matrix and the frozen one
        var frozen = Assert.Single(model.Runs, run => run.Kind == ParameterKind.Frozen);
        Assert.All(model.Gradients.Slice(frozen.Offset, frozen.Length).ToArray(), gradient => Assert.Equal(0, gradient));
        Assert.Contains(model.Gradients.ToArray(), gradient => gradient != 0);
    }

    [Fact]
    public void Modules_that_cannot_be_exact_are_refused_with_what_to_do()
    {
        Refused("AISLE-5177", "GroupNorm", () => Train(() => new Around(new SyncBatchNormLike())));
        Refused("AISLE-5177", "momentum", () => Train(() => new Around(Cumulative())));
        Refused("AISLE-5177", "Float32", () => Train(() => new Around(Linear(4, 4, dtype: ScalarType.Float64))));
        Refused("AISLE-5177", "RegisterComponents", () => Train(() => new Around(ReLU())));
        Refused("AISLE-5177", "buffer", () => Step(Train(() => new Counting())));
        Refused("AISLE-5178", "computed again", () => Step(Train(() => new Forgetful())));
        Refused("AISLE-5178", "Reduction.None", () => Step(new TorchTraining<Plain>(s_recipe, 100, () => new Plain(), (net, slice) => Loss(net, slice.Samples).mean())));
        Refused("AISLE-5177", "zero_grad", () => Step(new TorchTraining<Plain>(s_recipe, 100, () => new Plain(), (net, slice) =>
        {
            net.zero_grad();
            return Loss(net, slice.Samples);
        })));

        static BatchNorm1d Cumulative()
        {
            var norm = BatchNorm1d(4);
            norm.momentum = null;
            return norm;
        }

        static void Step(ITrainable model)
        {
            using (model)
            {
                model.Initialize(1);
                model.ComputeSlice(0, 0);
            }
        }

        static void Refused(string code, string words, Action act)
        {
            var e = Assert.Throws<AisleException>(act);
            Assert.Equal(code, e.Code);
            Assert.Contains(words, e.Message);
        }
    }

    [Fact]
    public void Memory_is_flat_and_no_tensor_is_left_over_thousands_of_slices()
    {
        using var model = Train(() => new Net());
        model.Initialize(1);
        for (var i = 0; i < 500; i++) model.ComputeSlice(i, 0);
        var (tensors, resident) = (Tensor.TotalCount, ResidentBytes());
        for (var i = 0; i < 4000; i++) model.ComputeSlice(i, 1);
        Assert.Equal(tensors, Tensor.TotalCount);
        Assert.InRange(ResidentBytes() - resident, long.MinValue, 16L << 20);
    }

    private static long ResidentBytes() => long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture) * Environment.SystemPageSize;

    private static TorchTraining<TModule> Train<TModule>(Func<TModule> model) where TModule : Module<Tensor, Tensor> =>
        new(s_recipe, 100, model, (net, slice) => Loss(net, slice.Samples));

    private static Tensor Loss(Module<Tensor, Tensor> net, IReadOnlyList<long> samples)
    {
        var inputs = SliceTensor.Of(samples.SelectMany(sample => Enumerable.Range(0, 4).Select(i => (float)Math.Sqrt((sample * 7 + i * 13) % 11))).ToArray(), samples.Count, 4);
        var wanted = tensor(samples.Select(sample => sample % 4).ToArray());
        return functional.cross_entropy(net.forward(inputs) * 0.5, wanted, reduction: Reduction.None); // 0.5: a scalar that only a finalizer frees
    }

    private sealed class Plain : Module<Tensor, Tensor>
    {
        private readonly Module<Tensor, Tensor> _layers = Sequential(Linear(4, 8), Tanh(), Linear(8, 4));

        public Plain() : base(nameof(Plain)) => RegisterComponents();

        public override Tensor forward(Tensor input) => _layers.forward(input);
    }

    private sealed class Net : Module<Tensor, Tensor>
    {
        private readonly Module<Tensor, Tensor> _layers = Sequential(Linear(4, 8), BatchNorm1d(8, momentum: 0.2), ReLU(), Dropout(0.3), Linear(8, 4));

        public Net() : base(nameof(Net)) => RegisterComponents();

        public override Tensor forward(Tensor input) => _layers.forward(input);
    }

    private sealed class Tied : Module<Tensor, Tensor>
    {
        private readonly Linear _first = Linear(4, 4, hasBias: false), _second = Linear(4, 4, hasBias: false), _frozen = Linear(4, 4, hasBias: false);

        public Tied() : base(nameof(Tied))
        {
            _second.weight = _first.weight!;
            _frozen.weight!.requires_grad = false;
            RegisterComponents();
        }

        public override Tensor forward(Tensor input) => _second.forward(_frozen.forward(_first.forward(input)));
    }

    private sealed class Around : Module<Tensor, Tensor>
    {
        private readonly Module<Tensor, Tensor> _inner;

        public Around(Module<Tensor, Tensor> inner) : base(nameof(Around))
        {
            _inner = inner;
            RegisterComponents();
        }

        public override Tensor forward(Tensor input) => _inner.forward(input.to(ScalarType.Float64)).to(ScalarType.Float32);
    }

    private sealed class SyncBatchNormLike() : Module<Tensor, Tensor>(nameof(SyncBatchNormLike))
    {
        public override Tensor forward(Tensor input) => input;
    }

    private sealed class Counting : Module<Tensor, Tensor>
    {
        private readonly Linear _linear = Linear(4, 4);
        private readonly Tensor _seen = zeros(1);

        public Counting() : base(nameof(Counting))
        {
            register_buffer("seen", _seen);
            RegisterComponents();
        }

        public override Tensor forward(Tensor input)
        {
            using (no_grad()) _seen.add_(1);
            return _linear.forward(input);
        }
    }

    private sealed class Forgetful : Module<Tensor, Tensor>
    {
        private readonly Linear _linear = Linear(4, 4);
        private int _calls;

        public Forgetful() : base(nameof(Forgetful)) => RegisterComponents();

        public override Tensor forward(Tensor input) => _linear.forward(input) * ++_calls;
    }
}
