using System.Net;
using Aisle.Tensors;
using Aisle.Training;
using Aisle.Training.Checkpoints;
using Aisle.Training.LanguageModels;

namespace Aisle.Benchmarks.Training;

/// <summary>One worker of ours: a process that computes slices until it is killed or its coordinator is gone.</summary>
internal static class TrainingWorker
{
    public const string Role = "training-worker";

    /// <param name="arguments">name, coordinator, secret in hex, folder, then the recipe's parameters as name=value.</param>
    public static async Task<int> RunAsync(string[] arguments)
    {
        var folder = arguments[3];
        try
        {
            await Worker.RunAsync(
                new WorkerOptions
                {
                    Name = arguments[0],
                    Coordinator = IPEndPoint.Parse(arguments[1]),
                    Secret = Convert.FromHexString(arguments[2]),
                    Recipe = TrainingSetting.RecipeOf(arguments[4..]),
                    Model = recipe => new LanguageModelTraining(recipe, folder),
                    NumericClass = NumericClass.OfThisMachine().Fingerprint,
                    Store = new FolderCheckpointStore(Path.Combine(folder, "store")),
                    ScratchFolder = Path.Combine(folder, arguments[0]),
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
    }
}
