using System.CommandLine;
using System.Globalization;
using Aisle.Monitoring;
using Aisle.Terminal;

namespace Aisle.Commands;

public static class StragglersCommand
{
    public static Command Create()
    {
        var target = new Argument<string>("JOB") { Description = "A training job or its pipeline, or the folder of a run without a data centre" };
        return new Command("stragglers", "Which worker is slowest in which phase of a step, and what to do") { target }.Does(async (call, cancellationToken) =>
        {
            var report = StragglerReport.Of(await RunRecord.TimeLineAsync(call, call.Get(target), cancellationToken));
            if (call.Json) call.Screen.WriteJson(report, CommandJson.Default.StragglerReport);
            else Print(report, call.Screen);
            return ExitCode.Done;
        });
    }

    private static void Print(StragglerReport report, Screen screen)
    {
        var workers = new Listing("WORKER", "STEPS", "SLICES", "MS/SLICE", "PLAN", "COMPUTE", "EXCHANGE", "APPLY", "SAVE");
        foreach (var worker in report.Workers)
        {
            workers.Add(worker.Worker, $"{worker.Steps}", $"{worker.Slices}", Ms(worker.SliceMilliseconds), Ms(worker.PlanMilliseconds), Ms(worker.ComputeMilliseconds),
                Ms(worker.ExchangeMilliseconds), Ms(worker.ApplyMilliseconds), Ms(worker.SaveMilliseconds));
        }
        workers.WriteTo(screen, "No worker has reported a step yet.");
        foreach (var phase in report.Slowest.Where(phase => phase.OthersMilliseconds is not null))
        {
            var what = phase.Phase == "compute" ? "a slice" : "a step";
            screen.WriteLine(string.Create(CultureInfo.InvariantCulture, $"slowest in {phase.Phase,-9}{phase.Worker}, {Ms(phase.Milliseconds)} ms {what}, the others {Ms(phase.OthersMilliseconds!.Value)}{Times(phase)}"));
        }
        screen.WriteLine(report.Advice);
    }

    private static string Times(SlowestInPhase phase) => phase.OthersMilliseconds > 0 ? string.Create(CultureInfo.InvariantCulture, $" ({phase.Ratio:0.00}×)") : "";

    private static string Ms(double milliseconds) => milliseconds.ToString(milliseconds < 9.995 ? "0.00" : milliseconds < 99.95 ? "0.0" : "0", CultureInfo.InvariantCulture);
}
