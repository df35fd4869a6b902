using Aisle.Training.Checkpoints;
using Aisle.Training.Collectives;
using Aisle.Training.Tests.Worker;

namespace Aisle.Training.Tests.Collectives;

public sealed class DirectSumTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(2, "codec=int8")]
    [InlineData(2, "optimizer.kind=lion", "fractionBits=30")]
    public async Task A_world_over_the_direct_exchange_trains_the_elastic_runs_model(int ranks, params string[] further)
    {
        var folder = Directory.CreateTempSubdirectory("aisle-direct-").FullName;
        try
        {
            var recipe = TrainingRecipe.FromParameters(((string[])[.. ElasticRun.Parameters, .. further]).ToDictionary(parameter => parameter.Split('=')[0], parameter => parameter.Split('=')[1]), seed: 5);
            var sums = DirectSum.Open(new GradientShape(NextSymbolModel.Parameters, recipe.SumFractionBits), ranks);
            var outcomes = await Task.WhenAll(sums.Select(sum => Task.Factory.StartNew(
                () => FixedWorld.Train(
                    new FixedWorldOptions
                    {
                        Recipe = recipe,
                        Model = recipe => new NextSymbolModel(recipe),
                        Sum = _ => sum,
                        Store = new FolderCheckpointStore(Path.Combine(folder, "store")),
                        ScratchFolder = Path.Combine(folder, "scratch"),
                    },
                    CancellationToken.None),
                TaskCreationOptions.LongRunning))).WaitAsync(TimeSpan.FromSeconds(60));
            var expected = ElasticRun.Line(await (further is [] ? ElasticRun.Outcome : ElasticRun.TrainAsync(further)));
            Assert.All(outcomes, outcome => Assert.Equal(expected, ElasticRun.Line(outcome)));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
