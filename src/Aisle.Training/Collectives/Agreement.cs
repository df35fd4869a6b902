using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using Aisle.Artifacts;

namespace Aisle.Training.Collectives;

/// <summary>What the ranks of a world compare, so that a wrong start or a faulty machine is named before it does harm.</summary>
internal sealed class Agreement(IGradientSum sum)
{
    /// <exception cref="AisleException">AISLE-5195: for different runs. AISLE-5123: the first slice's gradient differs.</exception>
    public void OnStart(TrainingRecipe recipe, Digest canary, (long Step, Digest Digest)? resumeFrom)
    {
        Compare(
            [recipe.Slices, recipe.Steps, FirstWord(recipe.Digest), resumeFrom?.Step ?? 0, resumeFrom is { } from ? FirstWord(from.Digest) : 0, FirstWord(canary)],
            (rank, mine, theirs) =>
            {
                if (mine.AsSpan(0, 5).SequenceEqual(theirs.AsSpan(0, 5)))
                {
                    return new AisleException(
                        "AISLE-5123", $"Rank {rank} computes other bits than rank {sum.Rank}: its canary gradient begins with {theirs[5]:x16}, here it is {mine[5]:x16}.",
                        "Run all ranks on machines of one numeric class, with the same data; `aisle doctor` prints a machine's class.");
                }
                return new AisleException("AISLE-5195", $"Rank {rank} was started for another run than rank {sum.Rank}: {Difference(mine, theirs)}.", "Start all ranks with one program, one recipe, seed and checkpoint.");
            });

        static string Difference(long[] mine, long[] theirs)
        {
            (string Name, int At)[] numbers = [("slices", 0), ("steps", 1), ("resumed step", 3)];
            var differing = numbers.Where(number => mine[number.At] != theirs[number.At])
                .Select(number => string.Create(CultureInfo.InvariantCulture, $"{number.Name} {theirs[number.At]} against {mine[number.At]}")).ToList();
            if (mine[2] != theirs[2]) differing.Add($"recipe {theirs[2]:x16} against {mine[2]:x16}");
            if (mine[4] != theirs[4]) differing.Add($"checkpoint {theirs[4]:x16} against {mine[4]:x16}");
            return string.Join(", ", differing);
        }
    }

    /// <exception cref="AisleException">AISLE-5120: they differ.</exception>
    public void OnWeights(long step, ulong hash) => Compare(
        [step, (long)hash],
        (rank, mine, theirs) => new AisleException(
            "AISLE-5120", $"At step {step} the weights of rank {rank} are {theirs[1]:x16}, those of rank {sum.Rank} {mine[1]:x16}.",
            "A machine computes wrongly or its memory is faulty: start again from the newest checkpoint, and find it with `aisle verify`."));

    /// <param name="digest">What rank 0 has to say; ignored on the others.</param>
    public Digest OfRankZero(ReadOnlySpan<byte> digest)
    {
        var words = digest.Length / sizeof(long);
        var all = new long[words * sum.Ranks];
        sum.Gather(MemoryMarshal.Cast<byte, long>(digest), all);
        return new Digest(MemoryMarshal.AsBytes(all.AsSpan(0, words)));
    }

    private void Compare(long[] mine, Func<int, long[], long[], AisleException> objection)
    {
        var all = new long[mine.Length * sum.Ranks];
        sum.Gather(mine, all);
        for (var rank = 0; rank < sum.Ranks; rank++)
        {
            var theirs = all.AsSpan(rank * mine.Length, mine.Length);
            if (!theirs.SequenceEqual(mine)) throw objection(rank, mine, theirs.ToArray());
        }
    }

    // Enough to tell two honest digests apart, and what `Digest.Short` begins with.
    private static long FirstWord(Digest digest)
    {
        Span<byte> bytes = stackalloc byte[Digest.SizeBytes];
        digest.CopyTo(bytes);
        return BinaryPrimitives.ReadInt64BigEndian(bytes);
    }
}
