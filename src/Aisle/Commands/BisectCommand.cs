using System.CommandLine;
using System.Globalization;
using Aisle.Api;
using Aisle.Artifacts;
using Aisle.Jobs;
using Aisle.Ledger;
using Aisle.Monitoring;
using Aisle.Terminal;
using Aisle.Training.Checkpoints;

namespace Aisle.Commands;

/// <summary>Where two runs part: the first step whose weights differ, then the tensors that differ there.</summary>
public static class BisectCommand
{
    private const int MostTensorsPrinted = 12;

    public static Command Create()
    {
        var first = new Argument<string>("RUN-A") { Description = "A training job, its pipeline, or a model it made; or the folder of a run without a data centre" };
        var second = new Argument<string>("RUN-B") { Description = "Another of the same kind" };
        return new Command("bisect", "Name the first step and tensor at which two runs differ") { first, second }.Does(async (call, cancellationToken) =>
        {
            var (a, b) = (call.Get(first), call.Get(second));
            if (RunRecord.IsFolder(a) != RunRecord.IsFolder(b))
                throw new WrongUsageException($"Of '{a}' and '{b}' only one is a folder.", "Name two jobs of the data centre, or the folders of two runs without one.");
            BisectView found;
            if (RunRecord.IsFolder(a)) found = FolderBisection.Run(a, b);
            else
            {
                using var client = call.Connect();
                found = await new JobBisection(client, call.Screen).RunAsync(a, b, cancellationToken);
            }
            if (call.Json) call.Screen.WriteJson(found, CommandJson.Default.BisectView);
            else Print(found, call.Screen);
            return found.Same ? ExitCode.Done : ExitCode.Failed;
        });
    }

    private static void Print(BisectView found, Screen screen)
    {
        if (!found.Same)
        {
            screen.WriteLine($"last same step        {found.LastSameStep?.ToString(CultureInfo.InvariantCulture) ?? "none"}");
            screen.WriteLine($"first different step  {found.FirstDifferentStep?.ToString(CultureInfo.InvariantCulture) ?? "none"}");
            foreach (var difference in found.SpecDifferences ?? []) screen.WriteLine($"spec                  {difference}");
            foreach (var tensor in (found.Tensors ?? []).Take(MostTensorsPrinted))
            {
                screen.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"tensor                {tensor.Part} {tensor.Tensor}: {tensor.Different} of {tensor.Elements} differ, first element {tensor.FirstElement}, by at most {tensor.Most:g3}"));
            }
            if (found.Tensors?.Count > MostTensorsPrinted) screen.WriteLine($"                      … and {found.Tensors.Count - MostTensorsPrinted} more; --json lists them");
        }
        screen.WriteLine(found.Summary!);
    }

    /// <summary>A sentence for what was found in the tensors of one step.</summary>
    internal static string Tell(long step, IReadOnlyList<TensorDifference> tensors) => tensors.Count == 0
        ? $"The states of step {step} are equal in every tensor."
        : $"At step {step} the first tensor that differs is {tensors[0].Tensor} ({tensors[0].Part}), of {tensors.Count} that do.";
}
