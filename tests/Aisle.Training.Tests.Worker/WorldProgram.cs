using System.Globalization;
using Aisle.Artifacts;
using Aisle.Training.Checkpoints;
using Aisle.Training.Collectives;
using Aisle.Training.Programs;
using Aisle.Training.Wire;

namespace Aisle.Training.Tests.Worker;

/// <summary>
/// One rank of a world, as the tests start it: what to do, then the folder, then parameters; <c>1:name=value</c> is for rank 1 alone. What it finds goes into
/// <c>rank-N</c> in the folder: mpirun mixes what its ranks print.
/// </summary>
internal static class WorldProgram
{
    private static readonly int s_rank = int.Parse(Environment.GetEnvironmentVariable("OMPI_COMM_WORLD_RANK") ?? "0", CultureInfo.InvariantCulture);

    public static int Run(string[] args)
    {
        var folder = args[1];
        var parameters = new Dictionary<string, string>();
        foreach (var parameter in args[2..])
        {
            var isForOne = char.IsDigit(parameter[0]);
            if (isForOne && parameter[0] - '0' != s_rank) continue;
            var parts = parameter[(isForOne ? 2 : 0)..].Split('=');
            parameters[parts[0]] = parts[1];
        }
        try
        {
            switch (args[0])
            {
                case "train":
                    Train(folder, parameters);
                    return 0;
                case "sums":
                    Sum(folder, parameters);
                    return 0;
                default:
                    throw new ArgumentException(args[0]);
            }
        }
        catch (AisleException e)
        {
            Console.Error.WriteLine(e.Message);
            return 1;
        }
    }

    /// <summary>A program as users write them.</summary>
    public static Task<int> AsUsersProgramAsync(string[] args)
    {
        var recipe = TrainingRecipe.FromParameters(new Dictionary<string, string> { ["steps"] = "30", ["slices"] = "12", ["contextTokens"] = "16", ["checkpointEvery"] = "10" }, seed: 5);
        return TrainingProgram.RunAsync(args, recipe, recipe => new NextSymbolModel(recipe));
    }

    /// <summary>Finds model, weights, loss and checkpoints.</summary>
    private static void Train(string folder, Dictionary<string, string> parameters)
    {
        parameters.Remove("dieAt", out var dieAt);
        parameters.Remove("resume", out var resume);
        parameters.Remove("ranks", out var ranks);
        parameters.Remove("faulty", out var faulty);
        var recipe = TrainingRecipe.FromParameters(parameters, seed: 5);
        var outcome = FixedWorld.Train(
            new FixedWorldOptions
            {
                Recipe = recipe,
                Model = recipe => new NextSymbolModel(recipe) { IsFaulty = faulty is not null },
                Sum = shape => MpiSum.Open(shape, ranks is null ? null : int.Parse(ranks, CultureInfo.InvariantCulture)),
                Store = new FolderCheckpointStore(Path.Combine(folder, "store")),
                ScratchFolder = Path.Combine(folder, "scratch"),
                ResumeFrom = resume is null ? null : (long.Parse(resume.Split('@')[1], CultureInfo.InvariantCulture), Digest.Parse(resume.Split('@')[0])),
                Event = happened =>
                {
                    if (dieAt is not null && happened is StepCommitted committed && committed.Step == long.Parse(dieAt, CultureInfo.InvariantCulture)) Environment.Exit(3);
                },
            },
            CancellationToken.None);
        var checkpoints = string.Join(',', outcome.Checkpoints.Select(checkpoint => $"{checkpoint.Digest}@{checkpoint.Step}"));
        Say(folder, $"{outcome.Model} {outcome.WeightsHash:x16} {BitConverter.DoubleToInt64Bits(outcome.LossPerToken):x16} {checkpoints}");
    }

    /// <summary>Sums known numbers again and again; finds the number of ranks, and bytes allocated by the later rounds.</summary>
    private static void Sum(string folder, Dictionary<string, string> parameters)
    {
        var elements = int.Parse(parameters["elements"], CultureInfo.InvariantCulture);
        using var sum = MpiSum.Open(new GradientShape(elements, 10));
        if (!NullIsStillCaught()) throw new AisleException("AISLE-0", "A null reference was not caught once MPI was there.", "");
        var allocated = 0L;
        for (var round = 0; round < 20; round++)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            var sums = sum.Sums;
            for (var i = 0; i < elements; i++) sums[i] = Value(sum.Rank, round, i);
            var mean = sum.Reduce(new ShardNote(sum.Rank + round, sum.Rank == 1 && round == 7), 4, out var all);
            if (round > 0) allocated += GC.GetAllocatedBytesForCurrentThread() - before;
            for (var i = 0; i < elements; i++)
            {
                var expected = 0L;
                for (var rank = 0; rank < sum.Ranks; rank++) expected += Value(rank, round, i);
                if (mean[i] != (float)(expected / 1024.0 / 4)) throw new AisleException("AISLE-0", $"Round {round}, number {i}: {mean[i]}, not {expected / 4096.0}.", "");
            }
            var expectedNote = new ShardNote(sum.Ranks * (sum.Ranks - 1) / 2 + sum.Ranks * round, sum.Ranks > 1 && round == 7);
            if (all != expectedNote) throw new AisleException("AISLE-0", $"Round {round}: {all}, not {expectedNote}.", "");
        }
        sum.Complete();
        Say(folder, $"{sum.Ranks} {allocated}");
    }

    private static void Say(string folder, string found) => File.WriteAllText(Path.Combine(folder, $"rank-{s_rank}"), found);

    // Large, of both signs, and different everywhere: nothing but the exact integer sum gives the expected mean.
    private static long Value(int rank, int round, int i) => ((long)(i % 4099) * 7_919 + rank * 104_729L + round) * (i % 3 == 0 ? -1 : 1) << 12;

    private static bool NullIsStillCaught()
    {
        string? nothing = s_rank < 0 ? "" : null;
        try
        {
            return nothing!.Length < 0;
        }
        catch (NullReferenceException)
        {
            return true;
        }
    }
}
