using Aisle.Training.Collectives;

namespace Aisle.Training.Tests.Collectives;

/// <summary>Real ranks under mpirun, and the elastic run beside them.</summary>
public sealed class MpiTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("aisle-mpi-").FullName;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task Any_number_of_ranks_trains_the_elastic_runs_model(int ranks)
    {
        var (found, said, code) = await MpiRun.StartAsync(ranks, "train", _folder, ElasticRun.Parameters);
        Assert.True(code == 0, said);
        Assert.Equal(Enumerable.Repeat(ElasticRun.Line(await ElasticRun.Outcome), ranks), found);
        Assert.Empty(Directory.EnumerateFileSystemEntries(Path.Combine(_folder, "scratch")));
    }

    [Fact]
    public async Task A_run_goes_on_from_a_checkpoint_on_another_number_of_ranks()
    {
        var (whole, said, code) = await MpiRun.StartAsync(1, "train", _folder, ElasticRun.Parameters);
        Assert.True(code == 0, said);
        var second = whole[0].Split(' ')[3].Split(',')[1];
        Assert.EndsWith("@20", second, StringComparison.Ordinal);
        var (rest, restSaid, restCode) = await MpiRun.StartAsync(3, "train", _folder, [.. ElasticRun.Parameters, $"resume={second}"]);
        Assert.True(restCode == 0, restSaid);
        Assert.Equal(whole[0].Split(' ')[..3], rest[0].Split(' ')[..3]);
    }

    [Theory]
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
    [InlineData("1:contextTokens=32", "AISLE-5193", "bits after the point")]
    [InlineData("1:faulty=yes", "AISLE-5123", "computes other bits")]
    [InlineData("ranks=3", "AISLE-5192", "MPI started 2 ranks, not 3")]
    public async Task Ranks_that_do_not_belong_together_are_refused_with_the_difference(string parameter, string refusal, string sentence)
    {
        var (found, said, code) = await MpiRun.StartAsync(2, "train", _folder, [.. ElasticRun.Parameters, parameter]);
        Assert.NotEqual(0, code);
        Assert.Empty(found);
        Assert.Contains(refusal, said, StringComparison.Ordinal);
        Assert.Contains(sentence, said, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_rank_that_dies_ends_the_run_for_all_and_leaves_the_last_checkpoint()
    {
        var (found, _, code) = await MpiRun.StartAsync(3, "train", _folder, [.. ElasticRun.Parameters, "1:dieAt=15"]);
        Assert.NotEqual(0, code);
        Assert.Empty(found);
        Assert.Single(Directory.EnumerateDirectories(Path.Combine(_folder, "store")));
    }

    [Fact]
    public void A_library_that_is_absent_or_of_another_make_is_refused_with_what_to_install()
    {
        var absent = Assert.Throws<AisleException>(() => OpenMpi.Load(Path.Combine(_folder, "libmpi.so")));
        Assert.Equal("AISLE-5190", absent.Code);
        Assert.Contains("openmpi-bin", absent.Next, StringComparison.Ordinal);

        var mpich = CompiledLibrary.Make(
            _folder, "mpich", """int MPI_Get_library_version(char *text, int *length) { __builtin_strcpy(text, "MPICH Version: 4.0.2\nMPICH Release date: ?"); *length = 40; return 0; }""");
        var other = Assert.Throws<AisleException>(() => OpenMpi.Load(mpich));
        Assert.Equal("AISLE-5190", other.Code);
        Assert.Contains("MPICH Version: 4.0.2, whose binary interface is another", other.What, StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
