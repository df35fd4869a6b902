namespace Aisle.Monitoring;

/// <summary>
/// One entry a step: the hash of the weights and the figures, in order of steps. Bounded: when it is full every second entry goes, and from then on
/// only every second step (then fourth, …) is kept. Not thread-safe.
/// </summary>
public sealed class StepLog
{
    private readonly List<StepFigures> _steps = [];

    public StepLog(int capacity = DefaultCapacity)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 2);
        Capacity = capacity;
    }

    /// <summary>16 MiB as a file.</summary>
    public const int DefaultCapacity = 1 << 18;

    public int Capacity { get; }

    /// <summary>Steps that are multiples of this are kept.</summary>
    public long Stride { get; private set; } = 1;

    public IReadOnlyList<StepFigures> Steps => _steps;

    public StepFigures? At(long step) => Find(step) is >= 0 and var i ? _steps[i] : null;

    /// <summary>Takes in a step. One that is known already (a run that went back to a checkpoint makes steps again) stays as it was first told.</summary>
    public StepAdded Add(in StepFigures figures)
    {
        if (figures.Step % Stride != 0) return StepAdded.LeftOut;
        var i = Find(figures.Step);
        if (i >= 0) return _steps[i].WeightsHash == figures.WeightsHash ? StepAdded.Again : StepAdded.Contradicts;
        if (_steps.Count >= Capacity)
        {
            Stride *= 2;
            _steps.RemoveAll(step => step.Step % Stride != 0);
            return Add(figures) is StepAdded.LeftOut ? StepAdded.ThinnedAndLeftOut : StepAdded.Thinned;
        }
        _steps.Insert(~i, figures);
        return StepAdded.Added;
    }

    private int Find(long step)
    {
        // Nearly always the next one.
        if (_steps.Count == 0 || step > _steps[^1].Step) return ~_steps.Count;
        var (low, high) = (0, _steps.Count - 1);
        while (low <= high)
        {
            var middle = (low + high) / 2;
            if (_steps[middle].Step == step) return middle;
            if (_steps[middle].Step < step) low = middle + 1;
            else high = middle - 1;
        }
        return ~low;
    }
}

/// <summary>What became of a step given to a <see cref="StepLog"/>.</summary>
public enum StepAdded
{
    Added,

    /// <summary>The log thins out long runs, and this step is not one that it keeps.</summary>
    LeftOut,

    /// <summary>Added, after every second entry went.</summary>
    Thinned,
    ThinnedAndLeftOut,

    /// <summary>Known already, with the same weights.</summary>
    Again,

    /// <summary>Known already, with other weights: of two computations of one step, one was wrong.</summary>
    Contradicts,
}
