using Aisle.Artifacts;
using System.Buffers.Binary;
using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Log;

[Flags]
internal enum FrameKinds : uint
{
    /// <summary>What was flushed together: its entries follow whatever stands before <see cref="LogFrame.First"/>.</summary>
    Batch = 0,

    /// <summary>No entries and no number of its own: says that the frame of its number was flushed. Every segment begins with one.</summary>
    Seal = 1,

    /// <summary>A seal that ends a segment: the next one exists. Without it, a lost newest segment would go unnoticed.</summary>
    Continued = 2,

    /// <summary>Entries that were there before took leave with this frame.</summary>
    Truncates = 4,

    /// <summary>Its entries stand in for damaged ones of the same places; the end of the log does not move.</summary>
    Repair = 8,

    /// <summary>The log is empty and goes on after the snapshot of <see cref="LogFrame.Mark"/>.</summary>
    Reset = 16,
}

/// <summary>
/// One write and one flush of the log: this head, then <see cref="Count"/> entries and an end mark. The head repeats all that must not be lost with a
/// neighbour: any later frame tells the hard state, where the log ended and whether something had been truncated. Its checksum covers the segment's number
/// and its own offset, so that a frame at a wrong place is none. Layout in <see cref="Write"/>, integers little-endian.
/// </summary>
internal readonly record struct LogFrame
{
    public const int HeadBytes = 96;
    public const int TailBytes = 8;

    /// <summary>A larger length is never believed.</summary>
    public const int MaxBodyBytes = 128 << 20;

    private const uint Mark4 = 0x3246_4C41;                       // "ALF2"
    private const ulong EndMark = 0xE1D5_F3A9_8B7C_6E5D;          // no zero byte: a last sector that never arrived shows

    private static ReadOnlySpan<byte> MarkBytes => "ALF2"u8;

    public FrameKinds Kinds { get; init; }

    /// <summary>Batches are numbered from 1 without a gap; a seal has the number of the batch before it.</summary>
    public long Number { get; init; }

    public HardState Hard { get; init; }

    /// <summary>Index of the first entry of this frame; for a batch, also one past the last entry that stays.</summary>
    public long First { get; init; }

    public int Count { get; init; }

    public int BodyBytes { get; init; }

    /// <summary>End of the log after this frame.</summary>
    public LogPosition Last { get; init; }

    /// <summary>The newest snapshot that was made or installed.</summary>
    public LogPosition Mark { get; init; }

    /// <summary>Truncations so far, and what the newest one kept.</summary>
    public uint Cuts { get; init; }

    public long CutAt { get; init; }

    public bool IsSeal => (Kinds & FrameKinds.Seal) != 0;

    public bool Is(FrameKinds kind) => (Kinds & kind) != 0;

    /// <summary>Newest batch that was surely flushed, seeing that this frame exists: a batch is written only after the one before it was flushed.</summary>
    public long Proves => IsSeal ? Number : Number - 1;

    public int SizeBytes => HeadBytes + (BodyBytes == 0 ? 0 : BodyBytes + TailBytes);

    public void WriteHead(Span<byte> to, long segment, long offset)
    {
        BinaryPrimitives.WriteInt32LittleEndian(to[4..], BodyBytes);
        BinaryPrimitives.WriteInt64LittleEndian(to[8..], Number);
        BinaryPrimitives.WriteInt64LittleEndian(to[16..], Hard.Term);
        BinaryPrimitives.WriteUInt64LittleEndian(to[24..], Hard.Vote.Value);
        BinaryPrimitives.WriteInt64LittleEndian(to[32..], First);
        BinaryPrimitives.WriteInt64LittleEndian(to[40..], Last.Index);
        BinaryPrimitives.WriteInt64LittleEndian(to[48..], Last.Term);
        BinaryPrimitives.WriteInt64LittleEndian(to[56..], CutAt);
        BinaryPrimitives.WriteInt64LittleEndian(to[64..], Mark.Index);
        BinaryPrimitives.WriteInt64LittleEndian(to[72..], Mark.Term);
        BinaryPrimitives.WriteUInt32LittleEndian(to[80..], Cuts);
        BinaryPrimitives.WriteInt32LittleEndian(to[84..], Count);
        BinaryPrimitives.WriteUInt32LittleEndian(to[88..], (uint)Kinds);
        BinaryPrimitives.WriteUInt32LittleEndian(to[92..], Mark4);
        BinaryPrimitives.WriteUInt32LittleEndian(to, Checksum(to, segment, offset));
    }

    public static void WriteEnd(Span<byte> to) => BinaryPrimitives.WriteUInt64LittleEndian(to, EndMark);

    /// <summary>Reads the head at <paramref name="offset"/> of a segment's bytes; false when there is no unharmed one. Its body may be harmed or missing.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, long segment, int offset, out LogFrame frame)
    {
        frame = default;
        if (offset < 0 || bytes.Length - offset < HeadBytes) return false;
        var head = bytes.Slice(offset, HeadBytes);
        if (!head[92..].SequenceEqual(MarkBytes) || BinaryPrimitives.ReadUInt32LittleEndian(head) != Checksum(head, segment, offset)) return false;
        frame = new LogFrame
        {
            BodyBytes = BinaryPrimitives.ReadInt32LittleEndian(head[4..]),
            Number = BinaryPrimitives.ReadInt64LittleEndian(head[8..]),
            Hard = new HardState(BinaryPrimitives.ReadInt64LittleEndian(head[16..]), new MemberId(BinaryPrimitives.ReadUInt64LittleEndian(head[24..]))),
            First = BinaryPrimitives.ReadInt64LittleEndian(head[32..]),
            Last = new LogPosition(BinaryPrimitives.ReadInt64LittleEndian(head[48..]), BinaryPrimitives.ReadInt64LittleEndian(head[40..])),
            CutAt = BinaryPrimitives.ReadInt64LittleEndian(head[56..]),
            Mark = new LogPosition(BinaryPrimitives.ReadInt64LittleEndian(head[72..]), BinaryPrimitives.ReadInt64LittleEndian(head[64..])),
            Cuts = BinaryPrimitives.ReadUInt32LittleEndian(head[80..]),
            Count = BinaryPrimitives.ReadInt32LittleEndian(head[84..]),
            Kinds = (FrameKinds)BinaryPrimitives.ReadUInt32LittleEndian(head[88..]),
        };
        return frame.BodyBytes is >= 0 and <= MaxBodyBytes && frame.Count >= 0 && frame.First >= 1 && frame.Last.Index >= 0 && frame.Number >= 0
            && frame.Count <= frame.BodyBytes / EntryCodec.HeaderBytes;
    }

    /// <summary>The first unharmed head at or after <paramref name="from"/>, which is a multiple of 8; -1 when there is none.</summary>
    public static int Find(ReadOnlySpan<byte> bytes, long segment, int from, out LogFrame frame)
    {
        // By the mark at a head's end: empty space is passed over at the speed of a search.
        for (var at = from + HeadBytes - 4; at < bytes.Length;)
        {
            var hit = bytes[at..].IndexOf(MarkBytes);
            if (hit < 0) break;
            var offset = at + hit - (HeadBytes - 4);
            if (offset % 8 == 0 && TryRead(bytes, segment, offset, out frame)) return offset;
            at += hit + 1;
        }
        frame = default;
        return -1;
    }

    /// <summary>Does a frame, or a head alone, look as a crash leaves it: a sector of it never arrived?</summary>
    /// <remarks>A disk writes sectors of 512 bytes whole or not at all, and before a frame is written its place is zeros. So is the part of it in a sector that
    /// never arrived; and no part of a whole frame is all zeros, unless 512 bytes of payload are. The same judgement as etcd's log makes.</remarks>
    public static bool IsTorn(ReadOnlySpan<byte> bytes, int offset, int size)
    {
        const int sector = 512;
        if (size > bytes.Length - offset) return true;
        for (var at = offset; at < offset + size;)
        {
            var end = Math.Min(offset + size, at / sector * sector + sector);
            if (!bytes[at..end].ContainsAnyExcept((byte)0)) return true;
            at = end;
        }
        return false;
    }

    public static bool HasEnd(ReadOnlySpan<byte> bytes, int endOfBody) =>
        bytes.Length - endOfBody >= TailBytes && BinaryPrimitives.ReadUInt64LittleEndian(bytes[endOfBody..]) == EndMark;

    private static uint Checksum(ReadOnlySpan<byte> head, long segment, long offset)
    {
        Span<byte> place = stackalloc byte[16];
        BinaryPrimitives.WriteInt64LittleEndian(place, segment);
        BinaryPrimitives.WriteInt64LittleEndian(place[8..], offset);
        return Crc32C.Finish(Crc32C.Add(Crc32C.Add(Crc32C.Start, place), head[4..HeadBytes]));
    }
}
