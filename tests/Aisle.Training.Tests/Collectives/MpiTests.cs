using Aisle.Training.Tests.Processes;

namespace Aisle.Training.Tests.Collectives;

/// <summary>Real ranks under mpirun, and the elastic run beside them.</summary>
public sealed class MpiTests : IDisposable
{
    private static readonly string[] s_parameters = ["steps=40", "slices=15", "sequencesPerSlice=2", "contextTokens=16", "optimizer.learningRate=0.02", "checkpointEvery=10"];
    private static readonly Lazy<Task<TrainingOutcome>> s_elastic = new(TrainElasticAsync);
    private readonly string _folder = Directory.CreateTempSubdirectory("aisle-mpi-").FullName;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task Any_number_of_ranks_trains_the_elastic_runs_model(int ranks)
    {
        var (found, said, code) = await MpiRun.StartAsync(ranks, "train", _folder, s_parameters);
        Assert.True(code == 0, said);
        var elastic = await s_elastic.Value;
        Assert.Equal(Enumerable.Repeat(Line(elastic), ranks), found);
        Assert.Empty(Directory.EnumerateFileSystemEntries(Path.Combine(_folder, "scratch")));
    }

    [Fact]
    public async Task A_run_goes_on_from_a_checkpoint_on_another_number_of_ranks()
    {
        var (whole, said, code) = await MpiRun.StartAsync(1, "train", _folder, s_parameters);
        Assert.True(code == 0, said);
        var second = whole[0].Split(' ')[3].Split(',')[1];
        Assert.EndsWith("@20", second, StringComparison.Ordinal);
        var (rest, restSaid, restCode) = await MpiRun.StartAsync(3, "train", _folder, [.. s_parameters, $"resume={second}"]);
        Assert.True(restCode == 0, restSaid);
        Assert.Equal(whole[0].Split(' ')[..3], rest[0].Split(' ')[..3]);
    }

    [Theory]
    [InlineData(2, 1000)]
    [InlineData(3, 100_003)]
    [InlineData(4, 7)]
    public async Task Sums_are_exact_and_allocate_nothing_and_leave_the_runtimes_signals_alone(int ranks, int elements)
    {
        var (found, said, code) = await MpiRun.StartAsync(ranks, "sums", _folder, $"elements={elements}");
        Assert.True(code == 0, said);
        Assert.Equal(Enumerable.Repeat($"{ranks} 0", ranks), found);
    }

    [Theory]
    [InlineData("1:slices=30", "AISLE-5195", "slices 30 against 15")]
    [InlineData("1:optimizer.beta1=0.8", "AISLE-5195", "recipe ")]
    [InlineData("1:contextTokens=32", "AISLE-5193", "bits after the point")]
    [InlineData("1:faulty=yes", "AISLE-5123", "computes other bits")]
    [InlineData("ranks=3", "AISLE-5192", "MPI started 2 ranks, not 3")]
    public async Task Ranks_that_do_not_belong_together_are_refused_with_the_difference(string parameter, string refusal, string sentence)
    {
        var (found, said, code) = await MpiRun.StartAsync(2, "train", _folder, [.. s_parameters, parameter]);
        Assert.NotEqual(0, code);
        Assert.Empty(found);
        Assert.Contains(refusal, said, StringComparison.Ordinal);
        Assert.Contains(sentence, said, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_rank_that_dies_ends_the_run_for_all_and_leaves_the_last_checkpoint()
    {
        var (found, _, code) = await MpiRun.StartAsync(3, "train", _folder, [.. s_parameters, "1:dieAt=15"]);
        Assert.NotEqual(0, code);
        Assert.Empty(found);
        Assert.Single(Directory.EnumerateDirectories(Path.Combine(_folder, "store")));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static string Line(TrainingOutcome outcome) =>
        $"{outcome.Model} {outcome.WeightsHash:x16} {BitConverter.DoubleToInt64Bits(outcome.LossPerToken):x16} {string.Join(',', outcome.Checkpoints.Select(checkpoint => $"{checkpoint.Digest}@{checkpoint.Step}"))}";

    private static async Task<TrainingOutcome> TrainElasticAsync()
    {
        await using var run = new ProcessRun(minimumWorkers: 2, parameters: s_parameters);
        _ = run.StartWorker("w0");
        _ = run.StartWorker("w1");
        return await run.CompletionAsync();
    }
}
