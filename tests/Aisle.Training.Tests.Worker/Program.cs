using System.Net;
using System.Runtime.InteropServices;
using Aisle;
using Aisle.Training;
using Aisle.Training.Checkpoints;
using Aisle.Training.LanguageModels;
using Aisle.Training.Tests.Worker;

if (args[0] == "world") return WorldProgram.Run(args[1..]);
if (args[0] == "program") return await WorldProgram.AsUsersProgramAsync(args[1..]);
if (args[0] == "bits") return BitsProgram.Run();
if (args[0] == "coordinator") return await SeparateCoordinator.RunAsync(args[1..]);

// name, coordinator, secret in hex, folder, then the recipe's parameters as name=value. Ends with 0 when the run is over, 1 with a message otherwise.
var (name, coordinator, secret, folder) = (args[0], args[1], args[2], args[3]);
var recipe = TrainingRecipe.FromParameters(args[4..].ToDictionary(parameter => parameter.Split('=')[0], parameter => parameter.Split('=')[1]), seed: 5);
// Place:step:times, set by a test: bits that flip in this worker's memory. Class:step: other bits from that step on.
var fault = (Environment.GetEnvironmentVariable("TEST_FAULT") ?? "").Split(':');
var faultyFrom = fault is ["Class", var first] ? long.Parse(first) : long.MaxValue;
using var leaving = new CancellationTokenSource();
using var terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context =>
{
    context.Cancel = true;
    leaving.Cancel();
});
try
{
    await Worker.RunAsync(
        new WorkerOptions
        {
            Name = name,
            Coordinator = IPEndPoint.Parse(coordinator),
            Secret = Convert.FromHexString(secret),
            Recipe = recipe,
            Model = recipe => recipe.Model.ContainsKey("rank")
                ? new LanguageModelFineTuning(recipe, Path.Combine(folder, "tokens"), Path.Combine(folder, "base"))
                : new DisturbedModel(new NextSymbolModel(recipe) { IsFaulty = name.StartsWith("faulty", StringComparison.Ordinal), FaultyFrom = faultyFrom }),
            NumericClass = name.StartsWith("faulty", StringComparison.Ordinal) ? "other" : "test",
            Store = new FolderCheckpointStore(Path.Combine(folder, "store")),
            ScratchFolder = Path.Combine(folder, name),
            Listen = IPEndPoint.Parse(Environment.GetEnvironmentVariable("TEST_LISTEN") ?? "127.0.0.1:0"),
            Leaving = leaving.Token,
            Fault = fault is [var place, var step, var times] ? new MemoryFault(Enum.Parse<MemoryPlace>(place), long.Parse(step), int.Parse(times)) : null,
            GiftsLateBySteps = int.Parse(Environment.GetEnvironmentVariable("TEST_GIFTS_LATE") ?? "0"),
            Log = Console.Error.WriteLine,
        },
        CancellationToken.None);
    return 0;
}
catch (AisleException e)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}
