using System.Globalization;
using Aisle.Tensors;
using Aisle.Training.Numerics;

namespace Aisle.Training.Tests.Worker;

/// <summary>
/// A model whose pace a test decides, and which counts what it computes more than once. From the environment: <c>TEST_PACE</c> names a file with the number of the
/// last step that may be computed, <c>TEST_SLOW</c> is <c>from-until:milliseconds</c>, added to each slice of these steps.
/// </summary>
internal sealed class DisturbedModel(ITrainable model) : ITrainable
{
    private readonly string? _paceFile = Environment.GetEnvironmentVariable("TEST_PACE");
    private readonly (long From, long Until, int Milliseconds)[] _slow = [.. (Environment.GetEnvironmentVariable("TEST_SLOW") ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries).Select(Slow)];
    private readonly HashSet<(long, int)> _computed = [];
    private long _pace = -1;
    private int _again;
    private bool _isCanaryDone;

    public int ParameterCount => model.ParameterCount;

    public Span<float> Weights => model.Weights;

    public Span<float> Gradients => model.Gradients;

    public IReadOnlyList<ParameterRun> Runs => model.Runs;

    public string NumericClass => model.NumericClass;

    public long TokensIn(long step) => model.TokensIn(step);

    public void Initialize(ulong seed) => model.Initialize(seed);

    public void SaveModel(string folder) => model.SaveModel(folder);

    public SliceLoss ComputeSlice(long step, int slice, GradientReady? ready = null)
    {
        if (_isCanaryDone)
        {
            var isAudit = ready is null; // a second opinion on another worker's slice: should that worker die, the slice itself is computed all the same
            if (!isAudit && !_computed.Add((step, slice))) _again++;
            while (_paceFile is not null && step > _pace)
            {
                _pace = long.Parse(File.ReadAllText(_paceFile), CultureInfo.InvariantCulture);
                if (step > _pace) Thread.Sleep(1);
            }
            foreach (var slow in _slow)
            {
                if (step >= slow.From && step < slow.Until) Thread.Sleep(slow.Milliseconds);
            }
        }
        _isCanaryDone = true;
        return model.ComputeSlice(step, slice, ready);
    }

    public void Dispose()
    {
        model.Dispose();
        Console.Error.WriteLine($"computed {_computed.Count} slices, {_again} of them again");
    }

    private static (long, long, int) Slow(string text)
    {
        int[] numbers = [.. text.Split('-', ':').Select(number => int.Parse(number, CultureInfo.InvariantCulture))];
        return (numbers[0], numbers[1], numbers[2]);
    }
}
