using System.Text;
using Aisle.Training.Checkpoints;
using Aisle.Training.Collectives;
using Aisle.Training.Tests.Worker;
using Aisle.Training.Wire;
using CsCheck;

namespace Aisle.Training.Tests.Collectives;

/// <summary>
/// The adapter against NCCL's C interface, played by a library compiled here that checks every argument (<c>nccl_double.c</c>): threads play ranks. No device of NVIDIA's
/// has a part in it.
/// </summary>
public sealed class NcclTests(NcclDoubleFixture library) : IClassFixture<NcclDoubleFixture>, IDisposable
{
    private const int OutOfMemory = 2;
    private const int RemoteError = 6;
    private readonly NcclDouble _double = library.Double;
    private readonly int _liveBefore = library.Double.Live;
    private readonly string _folder = Directory.CreateTempSubdirectory("aisle-nccl-").FullName;

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 1000)]
    [InlineData(3, 10_003)]
    [InlineData(4, 7)]
    public async Task Every_rank_gets_the_exact_sum_and_sums_again_without_allocating(int ranks, int elements)
    {
        var allocated = await OnEveryRank(ranks, rank =>
        {
            using var sum = _double.Open(new GradientShape(elements, 10), Place(rank, ranks));
            var bytes = 0L;
            for (var round = 0; round < 10; round++)
            {
                var before = GC.GetAllocatedBytesForCurrentThread();
                for (var i = 0; i < elements; i++) sum.Sums[i] = Value(rank, round, i);
                var mean = sum.Reduce(new ShardNote(rank + round, rank == 0 && round == 7), 4, out var all);
                if (round > 0) bytes += GC.GetAllocatedBytesForCurrentThread() - before;
                for (var i = 0; i < elements; i++) Assert.Equal((float)(Enumerable.Range(0, ranks).Sum(other => Value(other, round, i)) / 4096.0), mean[i]);
                Assert.Equal(new ShardNote(ranks * (ranks - 1) / 2 + ranks * round, round == 7), all);
            }
            sum.Complete();
            return bytes;
        });
        Assert.All(allocated, bytes => Assert.Equal(0, bytes));
        Assert.Equal(_liveBefore, _double.Live);
        Assert.False(File.Exists(IdFile));

        static long Value(int rank, int round, int i) => ((long)(i % 4099) * 7_919 + rank * 104_729L + round) * (i % 3 == 0 ? -1 : 1) << 12;
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Any_number_of_ranks_trains_the_elastic_runs_model(int ranks)
    {
        var recipe = TrainingRecipe.FromParameters(ElasticRun.Parameters.ToDictionary(parameter => parameter.Split('=')[0], parameter => parameter.Split('=')[1]), seed: 5);
        var outcomes = await OnEveryRank(ranks, rank => FixedWorld.Train(
            new FixedWorldOptions
            {
                Recipe = recipe,
                Model = recipe => new NextSymbolModel(recipe),
                Sum = shape => _double.Open(shape, Place(rank, ranks)),
                Store = new FolderCheckpointStore(Path.Combine(_folder, "store")),
                ScratchFolder = Path.Combine(_folder, "scratch"),
            },
            CancellationToken.None));
        var expected = ElasticRun.Line(await ElasticRun.Outcome);
        Assert.All(outcomes, outcome => Assert.Equal(expected, ElasticRun.Line(outcome)));
        Assert.Equal(_liveBefore, _double.Live);
    }

    [Theory]
    [InlineData("cudaGetDeviceCount")]
    [InlineData("cudaSetDevice")]
    [InlineData("cudaStreamCreateWithFlags")]
    [InlineData("ncclGetUniqueId")]
    [InlineData("ncclCommInitRank")]
    [InlineData("cudaMallocHost")]
    [InlineData("cudaMallocHost", 3)]
    [InlineData("cudaMalloc", 2)]
    [InlineData("cudaMemcpyAsync")]
    [InlineData("cudaMemcpyAsync", 3)]
    [InlineData("ncclReduceScatter")]
    [InlineData("ncclAllGather", 1)]
    [InlineData("cudaStreamQuery", 4)]
    [InlineData("ncclCommGetAsyncError", 1)]
    [InlineData("ncclCommDestroy")]
    public void A_call_that_fails_is_an_error_with_the_reason_and_leaves_nothing_behind(string function, int after = 0)
    {
        _double.Fail(function, OutOfMemory, after);
        var failure = Assert.Throws<AisleException>(() =>
        {
            using var sum = _double.Open(new GradientShape(100, 10), Place(0, 1));
            sum.Sums.Clear();
            sum.Reduce(default, 1, out _);
            sum.Complete();
        });
        Assert.Equal("AISLE-5194", failure.Code);
        Assert.Contains(function.StartsWith("cuda", StringComparison.Ordinal) ? "out of memory" : function, failure.What, StringComparison.Ordinal);
        // A world that could not be given back stays: NCCL says so itself.
        Assert.Equal(_liveBefore + (function == "ncclCommDestroy" ? 1 : 0), _double.Live);
        Assert.False(File.Exists(IdFile));
    }

    [Fact]
    public void A_rank_that_dies_or_hangs_is_noticed_by_the_others()
    {
        using (var sum = _double.Open(new GradientShape(100, 10), Place(0, 1)))
        {
            _double.Stick(true, RemoteError);
            var dead = Assert.Throws<AisleException>(() => sum.Reduce(default, 1, out _));
            Assert.Contains("remote process exited", dead.What, StringComparison.Ordinal);
        }
        _double.Stick(false);
        using (var sum = _double.Open(new GradientShape(100, 10), Place(0, 1) with { GiveUpAfter = TimeSpan.FromMilliseconds(30) }))
        {
            _double.Stick(true);
            var stuck = Assert.Throws<AisleException>(() => sum.Reduce(default, 1, out _));
            Assert.Contains("is not done after 0.03 s", stuck.What, StringComparison.Ordinal);
        }
        Assert.Equal(_liveBefore, _double.Live);
    }

    [Fact]
    public async Task Ranks_that_do_not_belong_together_are_refused_with_the_difference()
    {
        var shapes = await OnEveryRank(2, rank => Assert.Throws<AisleException>(() => _double.Open(new GradientShape(100 + rank, 10), Place(rank, 2))));
        Assert.All(shapes, refused => Assert.Equal("AISLE-5193", refused.Code));
        Assert.Contains("Rank 1 sums 101 numbers with 10 bits after the point, rank 0 100 with 10", shapes[0].What, StringComparison.Ordinal);

        File.WriteAllText(IdFile, $"aisle-nccl 3 {new string('0', 256)}\n");
        Assert.Equal("AISLE-5192", Refusal(Place(1, 2)).Code);
        Assert.Equal("AISLE-5197", Refusal(Place(0, 2)).Code); // it is there already: somebody else's
        File.Delete(IdFile);
        Assert.Equal("AISLE-5197", Refusal(Place(1, 2) with { GiveUpAfter = TimeSpan.FromMilliseconds(30) }).Code);
        Assert.Equal("AISLE-5198", Refusal(Place(0, 1) with { Device = 4 }).Code);
        Assert.Equal("AISLE-5198", Refusal(Place(2, 2)).Code);
        Assert.Equal(_liveBefore, _double.Live);

        AisleException Refusal(NcclPlace place) => Assert.Throws<AisleException>(() => _double.Open(new GradientShape(100, 10), place));
    }

    [Fact]
    public void Only_the_owner_can_read_the_worlds_name()
    {
        NcclUniqueId id = default;
        id[7] = 200;
        NcclIdFile.Write(IdFile, 2, id);
        if (!OperatingSystem.IsWindows()) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(IdFile));
        Assert.Equal(200, NcclIdFile.Read(IdFile, 2, TimeSpan.Zero, TimeProvider.System)[7]);
        File.Delete(IdFile);
    }

    [Fact]
    public void A_corrupt_name_is_refused_or_read_and_nothing_else()
    {
        var good = Encoding.ASCII.GetBytes($"aisle-nccl 2 {new string('a', 256)}\n");
        Gen.Select(Gen.Int[0, good.Length - 1], Gen.Byte, Gen.Int[0, 2]).Sample((at, value, how) =>
        {
            byte[] bad = how switch { 0 => [.. good[..at], value, .. good[(at + 1)..]], 1 => good[..at], _ => [.. good[..at], value, .. good[at..]] };
            try
            {
                NcclIdFile.Parse(bad, 2);
            }
            catch (AisleException e)
            {
                Assert.Contains(e.Code, (string[])["AISLE-5192", "AISLE-5197"]);
            }
        }, iter: 2000);
    }

    [Fact]
    public void A_machine_without_nccl_is_told_so()
    {
        Assert.Equal("AISLE-5196", Assert.Throws<AisleException>(() => new Nccl(Path.Combine(_folder, "libnccl.so"))).Code);
        Assert.Contains("has no cudaGetDeviceCount", Assert.Throws<AisleException>(() => new Cuda(CompiledLibrary.Make(_folder, "empty", "int nothing;"))).What, StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _double.Stick(false);
        _double.Fail("", 0);
        Directory.Delete(_folder, recursive: true);
    }

    private string IdFile => Path.Combine(_folder, "world");

    private NcclPlace Place(int rank, int ranks) => new() { Rank = rank, Ranks = ranks, Device = Math.Min(rank, 3), IdFile = IdFile, GiveUpAfter = TimeSpan.FromSeconds(20) };

    private static async Task<T[]> OnEveryRank<T>(int ranks, Func<int, T> run) =>
        await Task.WhenAll(Enumerable.Range(0, ranks).Select(rank => Task.Factory.StartNew(() => run(rank), TaskCreationOptions.LongRunning))).WaitAsync(TimeSpan.FromSeconds(60));
}
