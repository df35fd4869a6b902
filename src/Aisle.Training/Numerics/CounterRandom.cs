using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Aisle.Training.Numerics;

/// <summary>
/// Chance without a state: number i of a stream is a function of (seed, step, slice, stream, i), the same on every machine, in any order, with any vector width. For
/// dropout's masks (a stream a layer), stochastic rounding, and whatever else a slice draws by the million.
/// </summary>
/// <remarks>
/// Philox4x32-10: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011). The seed is the key. A counter is (index, slice and stream,
/// step) and gives four 32-bit words; number i is word (i / 4) mod 4 of the counter with index 4·(i / 16) + i mod 4, so that four counters side by side give
/// sixteen numbers in their order.
/// </remarks>
public readonly record struct CounterRandom
{
    /// <summary>Numbers that are made at once.</summary>
    public const int GroupNumbers = 16;

    /// <summary>Streams that a model may use: 0 to this − 1.</summary>
    public const int Streams = 1 << 18;
    private const int SliceBits = 12;
    private const uint MultiplierOne = 0xD251_1F53, MultiplierTwo = 0xCD9E_8D57, WeylOne = 0x9E37_79B9, WeylTwo = 0xBB67_AE85;
    private const int Rounds = 10;
    private readonly ulong _seed;
    private readonly ulong _step;
    private readonly uint _sliceAndStream;

    public CounterRandom(ulong seed, long step, int slice, int stream = 0)
        : this(seed, step, slice, stream, Streams)
    {
    }

    private CounterRandom(ulong seed, long step, int slice, int stream, int streams)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(slice);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(slice, 1 << SliceBits);
        ArgumentOutOfRangeException.ThrowIfNegative(stream);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(stream, streams);
        (_seed, _step, _sliceAndStream) = (seed, (ulong)step, (uint)slice | ((uint)stream << SliceBits));
    }

    /// <summary>A stream that no model can use.</summary>
    internal static CounterRandom Reserved(ulong seed, long step, int slice, int stream) => new(seed, step, slice, Streams + stream, 2 * Streams);

    /// <summary>Sixteen numbers of 32 bits: those from 16·<paramref name="group"/> on.</summary>
    public void Group(int group, out Vector256<uint> first, out Vector256<uint> second)
    {
        var indexes = Vector256.Create(4UL * (uint)group) + Vector256.Create(0UL, 1, 2, 3);
        var (zero, one, two, three) = (indexes, Vector256.Create((ulong)_sliceAndStream), Vector256.Create(_step & uint.MaxValue), Vector256.Create(_step >> 32));
        Mix(ref zero, ref one, ref two, ref three, _seed);
        first = Vector256.Narrow(zero, one);
        second = Vector256.Narrow(two, three);
    }

    /// <summary>Number <paramref name="index"/>, 32 bits.</summary>
    public uint At(int index)
    {
        Group(index / GroupNumbers, out var first, out var second);
        return index % GroupNumbers < 8 ? first[index % 8] : second[index % 8];
    }

    /// <summary>Number <paramref name="index"/> as a fraction: from 0 up to, but not, 1; a multiple of 2^-24.</summary>
    public float UnitAt(int index) => (At(index) >> 8) * (1f / (1 << 24));

    /// <summary>A dropout mask: each element 0 with probability <paramref name="dropped"/>, else 1/(1 − <paramref name="dropped"/>), so that the mean stays.</summary>
    /// <param name="dropped">From 0 up to, but not, 1.</param>
    public void FillMask(Span<float> mask, double dropped)
    {
        if (!(dropped is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(dropped), dropped, "A part from 0 up to, but not, 1 can be dropped.");
        var threshold = (uint)(dropped * 4294967296.0);
        var kept = (float)(1 / (1 - dropped));
        for (var start = 0; start < mask.Length; start += GroupNumbers)
        {
            Group(start / GroupNumbers, out var first, out var second);
            var part = mask.Slice(start, Math.Min(GroupNumbers, mask.Length - start));
            for (var i = 0; i < part.Length; i++) part[i] = (i < 8 ? first[i] : second[i - 8]) < threshold ? 0 : kept;
        }
    }

    /// <summary>Ten rounds over four counters side by side, each word in the low half of a lane.</summary>
    internal static void Mix(ref Vector256<ulong> zero, ref Vector256<ulong> one, ref Vector256<ulong> two, ref Vector256<ulong> three, ulong key)
    {
        var (keyOne, keyTwo) = ((uint)key, (uint)(key >> 32));
        var low = Vector256.Create((ulong)uint.MaxValue);
        for (var round = 0; round < Rounds; round++)
        {
            var (a, b) = (Product(zero, MultiplierOne), Product(two, MultiplierTwo));
            (zero, one, two, three) = (
                Vector256.ShiftRightLogical(b, 32) ^ one ^ Vector256.Create((ulong)keyOne), b & low,
                Vector256.ShiftRightLogical(a, 32) ^ three ^ Vector256.Create((ulong)keyTwo), a & low);
            keyOne += WeylOne;
            keyTwo += WeylTwo;
        }
    }

    // Both factors have 32 bits, so the two forms are one product; the first is one instruction.
    private static Vector256<ulong> Product(Vector256<ulong> words, uint factor) =>
        Avx2.IsSupported ? Avx2.Multiply(words.AsUInt32(), Vector256.Create((ulong)factor).AsUInt32()) : words * Vector256.Create((ulong)factor);
}
