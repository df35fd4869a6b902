using System.Text.Json;

namespace Aisle.Monitoring;

/// <summary>A time line as Chrome trace JSON, for chrome://tracing and Perfetto: one track a worker, deaths, joins and checkpoints as instants.</summary>
/// <remarks>
/// Source: "Trace Event Format", the JSON object form with complete (X), instant (i) and metadata (M) events. A step ends where its report came, so
/// tracks are aligned as well as reports travel; within a step, the phases stand in their order even where one came in several pieces.
/// </remarks>
public static class ChromeTrace
{
    private const int Process = 1;
    private const int RunTrack = 0;

    public static void Write(Stream stream, TimeLineSnapshot timeLine, string title)
    {
        using var json = new Utf8JsonWriter(stream);
        json.WriteStartObject();
        json.WriteString("displayTimeUnit", "ms");
        json.WriteStartObject("otherData");
        json.WriteString("startedAt", timeLine.StartedAt);
        json.WriteNumber("stepsLeftOut", timeLine.StepsLeftOut);
        json.WriteEndObject();
        json.WriteStartArray("traceEvents");

        Named(json, "process_name", RunTrack, title);
        Named(json, "thread_name", RunTrack, "run");
        var tracks = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var worker in timeLine.Steps.Select(step => step.Worker).Concat(timeLine.Moments.Select(moment => moment.Worker).OfType<string>()).Distinct().Order(StringComparer.Ordinal))
        {
            tracks.Add(worker, tracks.Count + 1);
            Named(json, "thread_name", tracks[worker], worker);
        }
        var ends = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (var step in timeLine.Steps) ends[step.Worker] = Phases(json, step, tracks[step.Worker], ends.GetValueOrDefault(step.Worker));
        foreach (var moment in timeLine.Moments) Instant(json, moment, moment.Worker is { } worker ? tracks[worker] : RunTrack);

        json.WriteEndArray();
        json.WriteEndObject();
    }

    /// <param name="free">When the track's last step ended: reports that were late must not overlap.</param>
    /// <returns>When this step ends.</returns>
    private static long Phases(Utf8JsonWriter json, WorkerStep step, int track, long free)
    {
        var times = step.Times;
        var at = step.AtMicros - times.TotalMicros;
        foreach (var (name, micros) in ((string, long)[])[("plan", times.PlanMicros), ("compute", times.ComputeMicros), ("exchange", times.ExchangeMicros), ("apply", times.ApplyMicros)])
        {
            var (start, end) = (Math.Max(at, free), Math.Max(at + micros, free));
            at += micros;
            if (end <= start) continue;
            json.WriteStartObject();
            Common(json, name, "X", track, start);
            json.WriteString("cat", "step");
            json.WriteNumber("dur", end - start);
            json.WriteStartObject("args");
            json.WriteNumber("step", step.Step);
            if (name == "compute") json.WriteNumber("slices", times.Slices);
            if (name == "plan" && times.SaveMicros > 0) json.WriteNumber("copyingStateMicros", times.SaveMicros);
            json.WriteEndObject();
            json.WriteEndObject();
        }
        return Math.Max(step.AtMicros, free);
    }

    private static void Instant(Utf8JsonWriter json, RunMoment moment, int track)
    {
        json.WriteStartObject();
        Common(json, moment.What, "i", track, moment.AtMicros);
        json.WriteString("cat", "run");
        json.WriteString("s", moment.Worker is null ? "g" : "t");
        json.WriteEndObject();
    }

    private static void Named(Utf8JsonWriter json, string what, int track, string name)
    {
        json.WriteStartObject();
        Common(json, what, "M", track, 0);
        json.WriteStartObject("args");
        json.WriteString("name", name);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void Common(Utf8JsonWriter json, string name, string phase, int track, long atMicros)
    {
        json.WriteString("name", name);
        json.WriteString("ph", phase);
        json.WriteNumber("pid", Process);
        json.WriteNumber("tid", track);
        json.WriteNumber("ts", atMicros);
    }
}
