using System.Runtime.CompilerServices;

namespace Aisle.Artifacts;

/// <summary>
/// Cuts content where the content itself says, so that an insertion moves the cuts near it and no others: profile <c>cdc64</c>, version 1.
/// A gear hash rolls over the last 64 bytes; a cut falls where its top bits are zero. Chunks are 16 to 256 KiB, 64 KiB on average.
/// One chunker serves one stream at a time.
/// </summary>
/// <remarks>
/// Everything here is fixed for ever: a change moves every cut, so it would be a new profile with a new version byte in the artifact's root.
/// Source: Xia et al., "FastCDC", USENIX ATC 2016 (gear hash, skipped minimum, normalised chunking at level 2).
/// </remarks>
public sealed class Chunker
{
    /// <summary>Written in an artifact's root: which cutting rule its entries were cut by.</summary>
    public const byte ProfileCdc64 = 1;

    public const int MinBytes = 16 * 1024, AverageBytes = 64 * 1024, MaxBytes = 256 * 1024;

    // 64 KiB is 16 bits. Two bits harder before the average and two easier after it pull sizes towards it.
    private const ulong BeforeAverage = 1UL << (64 - 18), AfterAverage = 1UL << (64 - 14);
    private const int BufferBytes = 4 * MaxBytes;

    private static readonly ulong[] Gear = MakeGear();

    private readonly byte[] _buffer = new byte[BufferBytes];

    /// <summary>Splits a stream from where it stands to its end. No bytes, no chunks.</summary>
    /// <returns>Chunks in order; each is valid only until the next is asked for.</returns>
    public async IAsyncEnumerable<ReadOnlyMemory<byte>> SplitAsync(Stream content, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        int start = 0, filled = 0;
        var ended = false;
        while (true)
        {
            if (!ended && filled - start < MaxBytes)
            {
                _buffer.AsSpan(start, filled - start).CopyTo(_buffer);
                (start, filled) = (0, filled - start);
                while (filled < BufferBytes)
                {
                    var read = await content.ReadAsync(_buffer.AsMemory(filled), cancellationToken);
                    if (read == 0)
                    {
                        ended = true;
                        break;
                    }
                    filled += read;
                }
            }
            if (start == filled) yield break;
            var length = CutLength(_buffer.AsSpan(start, filled - start));
            yield return _buffer.AsMemory(start, length);
            start += length;
        }
    }

    /// <summary>Length of the first chunk of <paramref name="content"/>, which is either all that is left or at least <see cref="MaxBytes"/>.</summary>
    public static int CutLength(ReadOnlySpan<byte> content)
    {
        if (content.Length <= MinBytes) return content.Length;
        var end = Math.Min(content.Length, MaxBytes);
        var average = Math.Min(end, AverageBytes);
        var gear = Gear;
        ulong hash = 0;
        var i = MinBytes;
        for (; i < average; i++)
        {
            hash = (hash << 1) + gear[content[i]];
            if (hash < BeforeAverage) return i + 1;
        }
        for (; i < end; i++)
        {
            hash = (hash << 1) + gear[content[i]];
            if (hash < AfterAverage) return i + 1;
        }
        return end;
    }

    /// <summary>256 numbers from SplitMix64 seeded with the bytes of "aislecdc" read as a big-endian number.</summary>
    /// <remarks>Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.</remarks>
    private static ulong[] MakeGear()
    {
        var table = new ulong[256];
        var state = 0x6169_736C_6563_6463UL;
        for (var i = 0; i < table.Length; i++)
        {
            state += 0x9E37_79B9_7F4A_7C15UL;
            var z = state;
            z = (z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9UL;
            z = (z ^ (z >> 27)) * 0x94D0_49BB_1331_11EBUL;
            table[i] = z ^ (z >> 31);
        }
        return table;
    }
}
