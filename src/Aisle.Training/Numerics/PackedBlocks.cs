using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Aisle.Training.Numerics;

/// <summary>
/// Integers as they travel: blocks of 256, each a byte that says how many bits the largest needs (0 to 64, sign included) and then the 256
/// numbers cut to that width. Zeros that all numbers of a block end in stay behind: the byte's top bit then says that a second byte counts them.
/// Lossless, so what a message weighs depends on the values and what it means does not.
/// </summary>
/// <remarks>
/// A block is four lanes of 64 numbers (number <c>4r + lane</c> is row r of its lane), and each lane is a run of 64-bit little-endian words,
/// stored four lanes side by side: a vector of four packs without crossing lanes. A last, shorter block is filled up with zeros.
/// </remarks>
public static class PackedBlocks
{
    public const int BlockElements = 256;
    private const int Rows = 64;
    private const int Lanes = 4;
    private const byte HasShift = 0x80;

    /// <summary>Most bytes that <paramref name="elements"/> numbers can take.</summary>
    public static int MaxSizeBytes(int elements) => (elements + BlockElements - 1) / BlockElements * (1 + BlockElements * sizeof(long));

    /// <returns>Bytes written to <paramref name="packed"/>, which has room for <see cref="MaxSizeBytes"/>.</returns>
    public static int Pack(ReadOnlySpan<long> values, Span<byte> packed)
    {
        var written = 0;
        Span<long> padded = stackalloc long[BlockElements];
        while (!values.IsEmpty)
        {
            if (values.Length >= BlockElements)
            {
                written += PackBlock(values[..BlockElements], packed[written..]);
                values = values[BlockElements..];
            }
            else
            {
                padded.Clear();
                values.CopyTo(padded);
                written += PackBlock(padded, packed[written..]);
                values = [];
            }
        }
        return written;
    }

    /// <summary>Whether these bytes are <paramref name="elements"/> packed numbers and nothing after them. Adds nothing, so a fold can check first.</summary>
    public static bool IsWellFormed(ReadOnlySpan<byte> packed, int elements)
    {
        for (var done = 0; done < elements; done += BlockElements)
        {
            if (packed.IsEmpty) return false;
            var (head, width, shift) = HeadOf(packed);
            var size = head + BlockElements / 8 * width;
            if (width + shift > 64 || packed.Length < size) return false;
            packed = packed[size..];
        }
        return packed.IsEmpty;
    }

    /// <summary>Adds the packed numbers to <paramref name="sum"/>.</summary>
    /// <exception cref="AisleException">AISLE-5131: not <paramref name="sum"/>'s number of packed integers; nothing has been added.</exception>
    public static void AddTo(Span<long> sum, ReadOnlySpan<byte> packed)
    {
        if (!IsWellFormed(packed, sum.Length))
        {
            throw new AisleException("AISLE-5131", $"{packed.Length} bytes are not {sum.Length} packed integers.", "The sender's version differs or its memory is faulty; restart it.");
        }
        AddNext(sum, ref packed);
    }

    /// <summary>Adds the first blocks of what <see cref="IsWellFormed"/> has accepted, and moves on past them. All but the last call take whole blocks.</summary>
    internal static void AddNext(Span<long> sum, ref ReadOnlySpan<byte> packed)
    {
        Span<long> last = stackalloc long[BlockElements];
        while (!sum.IsEmpty)
        {
            var (head, width, shift) = HeadOf(packed);
            var words = packed.Slice(head, BlockElements / 8 * width);
            if (sum.Length >= BlockElements)
            {
                AddBlock(sum[..BlockElements], words, width, shift);
                sum = sum[BlockElements..];
            }
            else
            {
                last.Clear();
                AddBlock(last, words, width, shift);
                for (var i = 0; i < sum.Length; i++) sum[i] += last[i];
                sum = [];
            }
            packed = packed[(head + words.Length)..];
        }
    }

    // A lone first byte that announces a second reads as a block that nothing can hold.
    private static (int Head, int Width, int Shift) HeadOf(ReadOnlySpan<byte> packed) =>
        (packed[0] & HasShift) == 0 ? (1, packed[0], 0) : (2, packed[0] & ~HasShift, packed.Length > 1 ? packed[1] : byte.MaxValue);

    private static int PackBlock(ReadOnlySpan<long> block, Span<byte> packed)
    {
        ref var source = ref MemoryMarshal.GetReference(block);
        var magnitudes = Vector256<long>.Zero;
        var bits = Vector256<long>.Zero;
        for (nuint i = 0; i < BlockElements; i += Lanes)
        {
            var row = Vector256.LoadUnsafe(ref source, i);
            bits |= row;
            magnitudes |= row ^ Vector256.ShiftRightArithmetic(row, 63);
        }
        var magnitude = (ulong)(magnitudes[0] | magnitudes[1] | magnitudes[2] | magnitudes[3]);
        if (bits == Vector256<long>.Zero)
        {
            packed[0] = 0;
            return 1;
        }
        var shift = BitOperations.TrailingZeroCount(bits[0] | bits[1] | bits[2] | bits[3]);
        var width = 65 - BitOperations.LeadingZeroCount(magnitude) - shift;
        var head = shift == 0 ? 1 : 2;
        packed[0] = (byte)(shift == 0 ? width : width | HasShift);
        if (shift != 0) packed[1] = (byte)shift;
        var size = head + BlockElements / 8 * width;

        ref var target = ref MemoryMarshal.GetReference(packed[head..size]);
        var mask = Vector256.Create(ulong.MaxValue >> (64 - width));
        var word = Vector256<ulong>.Zero;
        var offset = 0;
        nuint at = 0;
        for (nuint row = 0; row < Rows; row++)
        {
            var value = Vector256.ShiftRightLogical(Vector256.LoadUnsafe(ref source, row * Lanes).AsUInt64(), shift) & mask;
            word |= Vector256.ShiftLeft(value, offset);
            offset += width;
            if (offset < 64) continue;
            word.AsByte().StoreUnsafe(ref target, at);
            at += 32;
            offset -= 64;
            word = offset == 0 ? Vector256<ulong>.Zero : Vector256.ShiftRightLogical(value, width - offset);
        }
        return size;
    }

    private static void AddBlock(Span<long> sum, ReadOnlySpan<byte> words, int width, int shift)
    {
        if (width == 0) return;
        ref var source = ref MemoryMarshal.GetReference(words);
        ref var target = ref MemoryMarshal.GetReference(sum);
        var mask = Vector256.Create(ulong.MaxValue >> (64 - width));
        var sign = Vector256.Create(1UL << (width - 1));
        var offset = 0;
        nuint at = 0;
        for (nuint row = 0; row < Rows; row++)
        {
            var value = Vector256.ShiftRightLogical(Vector256.LoadUnsafe(ref source, at).AsUInt64(), offset);
            if (offset + width > 64) value |= Vector256.ShiftLeft(Vector256.LoadUnsafe(ref source, at + 32).AsUInt64(), 64 - offset);
            var extended = Vector256.ShiftLeft(((value & mask) ^ sign) - sign, shift).AsInt64();
            (Vector256.LoadUnsafe(ref target, row * Lanes) + extended).StoreUnsafe(ref target, row * Lanes);
            offset += width;
            at += (nuint)(offset >> 6) * 32;
            offset &= 63;
        }
    }
}
