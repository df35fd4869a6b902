using System.CommandLine;
using Aisle.Monitoring;

namespace Aisle.Commands;

public static class TraceCommand
{
    public static Command Create()
    {
        var target = new Argument<string>("JOB") { Description = "A training job or its pipeline, or the folder of a run without a data centre" };
        var file = new Argument<string?>("FILE") { Description = "Where to write it; else JOB.trace.json here", Arity = ArgumentArity.ZeroOrOne, DefaultValueFactory = _ => null };
        return new Command("trace", "Where each worker's steps went, as a Chrome trace for Perfetto or chrome://tracing") { target, file }.Does(async (call, cancellationToken) =>
        {
            var run = call.Get(target);
            var timeLine = await RunRecord.TimeLineAsync(call, run, cancellationToken);
            var title = RunRecord.IsFolder(run) ? Path.GetFileName(Path.GetFullPath(run).TrimEnd('/')) : run;
            var path = Path.GetFullPath(call.Get(file) ?? $"{title}.trace.json");
            using (var stream = File.Create(path)) ChromeTrace.Write(stream, timeLine, title);
            var workers = timeLine.Totals.Count;
            if (call.Json)
            {
                call.Screen.WriteJson(new TraceView(path, timeLine.Steps.Count, timeLine.StepsLeftOut, workers, timeLine.Moments.Count), CommandJson.Default.TraceView);
                return ExitCode.Done;
            }
            call.Screen.WriteLine(path);
            var leftOut = timeLine.StepsLeftOut > 0 ? $"; {timeLine.StepsLeftOut} older ones are no longer kept one by one" : "";
            call.Screen.Say($"{timeLine.Steps.Count} worker steps of {workers} {(workers == 1 ? "worker" : "workers")} and {timeLine.Moments.Count} events{leftOut}. Open it in https://ui.perfetto.dev or chrome://tracing.");
            return ExitCode.Done;
        });
    }
}
