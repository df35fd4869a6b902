using System.Text.Json;
using System.Text.Json.Serialization;

namespace Aisle.Monitoring;

/// <summary>One worker's part of one step, as it was reported.</summary>
/// <param name="AtMicros">When the report came, since the run's start.</param>
public sealed record WorkerStep(long AtMicros, string Worker, long Step, StepTimes Times);

/// <summary>Something that happened between steps: a death, a join, a checkpoint.</summary>
/// <param name="Worker">Whom it concerns; null for the run as a whole.</param>
public sealed record RunMoment(long AtMicros, string What, string? Worker = null);

/// <summary>All of one worker's steps together.</summary>
public sealed record WorkerTotals(string Worker, long Steps, long Slices, long PlanMicros, long ComputeMicros, long ExchangeMicros, long ApplyMicros, long SaveMicros)
{
    internal WorkerTotals Plus(in StepTimes times) => this with
    {
        Steps = Steps + 1,
        Slices = Slices + times.Slices,
        PlanMicros = PlanMicros + times.PlanMicros,
        ComputeMicros = ComputeMicros + times.ComputeMicros,
        ExchangeMicros = ExchangeMicros + times.ExchangeMicros,
        ApplyMicros = ApplyMicros + times.ApplyMicros,
        SaveMicros = SaveMicros + times.SaveMicros,
    };
}

/// <summary>
/// Where the time of a run's workers went: the newest steps one by one, all steps in sums. Bounded in both: old steps go first, and workers
/// beyond the first 4096 are not told apart. Safe to call from many threads.
/// </summary>
public sealed class TimeLine(DateTimeOffset startedAt, int mostSteps = 16_384)
{
    private const int MostMoments = 4096;
    private const int MostWorkers = 4096;
    private readonly Lock _gate = new(); // guards what follows
    private readonly Queue<WorkerStep> _steps = [];
    private readonly Queue<RunMoment> _moments = [];
    private readonly Dictionary<string, WorkerTotals> _totals = [];
    private long _leftOut;

    public void Add(TimeSpan at, string worker, long step, in StepTimes times)
    {
        lock (_gate)
        {
            if (!_totals.TryGetValue(worker, out var totals))
            {
                if (_totals.Count >= MostWorkers) worker = "others";
                totals = _totals.GetValueOrDefault(worker) ?? new WorkerTotals(worker, 0, 0, 0, 0, 0, 0, 0);
            }
            _totals[worker] = totals.Plus(times);
            _steps.Enqueue(new WorkerStep(Micros(at), worker, step, times));
            if (_steps.Count <= mostSteps) return;
            _steps.Dequeue();
            _leftOut++;
        }
    }

    public void Mark(TimeSpan at, string what, string? worker = null)
    {
        lock (_gate)
        {
            _moments.Enqueue(new RunMoment(Micros(at), what, worker));
            if (_moments.Count > MostMoments) _moments.Dequeue();
        }
    }

    public TimeLineSnapshot Snapshot()
    {
        lock (_gate)
        {
            return new TimeLineSnapshot
            {
                StartedAt = startedAt,
                Steps = [.. _steps],
                Moments = [.. _moments],
                Totals = [.. _totals.Values.OrderBy(totals => totals.Worker, StringComparer.Ordinal)],
                StepsLeftOut = _leftOut,
            };
        }
    }

    private static long Micros(TimeSpan at) => at.Ticks / TimeSpan.TicksPerMicrosecond;
}

/// <summary>A time line at one moment; the <c>timeline.json</c> of a run.</summary>
public sealed record TimeLineSnapshot
{
    public const string Name = "timeline.json";

    /// <summary>What all times count from.</summary>
    public DateTimeOffset StartedAt { get; init; }

    /// <summary>The newest, in the order they were reported.</summary>
    public IReadOnlyList<WorkerStep> Steps { get; init; } = [];

    public IReadOnlyList<RunMoment> Moments { get; init; } = [];

    /// <summary>Of all steps, also of those left out of <see cref="Steps"/>, by name of worker.</summary>
    public IReadOnlyList<WorkerTotals> Totals { get; init; } = [];

    /// <summary>Older parts of steps that are only in the totals.</summary>
    public long StepsLeftOut { get; init; }

    /// <exception cref="AisleException">AISLE-5183: not a time line.</exception>
    public static TimeLineSnapshot Parse(ReadOnlySpan<byte> json)
    {
        try
        {
            var read = JsonSerializer.Deserialize(json, MonitoringJson.Default.TimeLineSnapshot) ?? throw new JsonException("null");
            if (read.Steps is null || read.Moments is null || read.Totals is null || read.Steps.Any(step => step?.Worker is null)
                || read.Moments.Any(moment => moment?.What is null) || read.Totals.Any(totals => totals?.Worker is null))
            {
                throw new JsonException("a part is missing");
            }
            return read;
        }
        catch (Exception e) when (e is JsonException or NotSupportedException or InvalidOperationException or FormatException)
        {
            throw new AisleException("AISLE-5183", $"This is not a time line: {e.Message}", "Give the timeline.json of a run, unchanged.", e);
        }
    }

    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, MonitoringJson.Default.TimeLineSnapshot);
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(TimeLineSnapshot))]
internal sealed partial class MonitoringJson : JsonSerializerContext;
