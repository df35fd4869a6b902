using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Aisle.Training.Numerics;
using Aisle.Training.Protocol;

namespace Aisle.Training.Wire;

/// <summary>What a shard's sum says beside its numbers.</summary>
/// <param name="Loss">Sum of the slices' losses in fixed point, so that their order cannot matter either.</param>
/// <param name="Invalid">Some slice's gradient or loss did not fit: the step is skipped by everyone.</param>
internal readonly record struct ShardNote(long Loss, bool Invalid)
{
    public ShardNote Plus(ShardNote other) => new(Loss + other.Loss, Invalid | other.Invalid);
}

/// <summary>One shard of the sum over some slices.</summary>
internal readonly ref struct ContributionFrame
{
    private const int FixedBytes = 32;

    public long Step { get; private init; }

    public int Shard { get; private init; }

    public ShardNote Note { get; private init; }

    public SliceSet Slices { get; private init; }

    /// <summary>See <see cref="PackedBlocks"/>.</summary>
    public ReadOnlySpan<byte> Packed { get; private init; }

    public static int MaxBodyBytes(int shardElements) => FixedBytes + SliceSet.MaxSlices / 8 + PackedBlocks.MaxSizeBytes(shardElements);

    /// <returns>Bytes of body written.</returns>
    public static int Write(Span<byte> body, long step, int shard, ShardNote note, SliceSet slices, ReadOnlySpan<long> sum)
    {
        var words = MemoryMarshal.AsBytes(slices.Words);
        BinaryPrimitives.WriteInt64LittleEndian(body, step);
        BinaryPrimitives.WriteInt64LittleEndian(body[8..], note.Loss);
        BinaryPrimitives.WriteInt32LittleEndian(body[16..], shard);
        BinaryPrimitives.WriteInt32LittleEndian(body[20..], note.Invalid ? 1 : 0);
        BinaryPrimitives.WriteInt64LittleEndian(body[24..], slices.Words.Length);
        words.CopyTo(body[FixedBytes..]);
        return FixedBytes + words.Length + PackedBlocks.Pack(sum, body[(FixedBytes + words.Length)..]);
    }

    /// <exception cref="AisleException">AISLE-5131: not a contribution.</exception>
    public static ContributionFrame Parse(ReadOnlySpan<byte> body)
    {
        if (body.Length < FixedBytes) throw Malformed(body.Length);
        var words = BinaryPrimitives.ReadInt64LittleEndian(body[24..]);
        if (words is < 1 or > SliceSet.MaxSlices / 64 || body.Length < FixedBytes + words * 8) throw Malformed(body.Length);
        return new ContributionFrame
        {
            Step = BinaryPrimitives.ReadInt64LittleEndian(body),
            Note = new ShardNote(BinaryPrimitives.ReadInt64LittleEndian(body[8..]), BinaryPrimitives.ReadInt32LittleEndian(body[20..]) != 0),
            Shard = BinaryPrimitives.ReadInt32LittleEndian(body[16..]),
            Slices = SliceSet.FromWords(MemoryMarshal.Cast<byte, ulong>(body.Slice(FixedBytes, (int)words * 8))),
            Packed = body[(FixedBytes + (int)words * 8)..],
        };
    }

    internal static AisleException Malformed(int bytes) =>
        new("AISLE-5131", $"A frame of {bytes} bytes does not hold what its kind says.", "Start the coordinator and all workers from one version.");
}

/// <summary>One shard of the mean gradient over all slices.</summary>
internal readonly ref struct ReducedFrame
{
    private const int FixedBytes = 24;

    public long Step { get; private init; }

    public int Shard { get; private init; }

    public ShardNote Note { get; private init; }

    public ReadOnlySpan<float> Gradient { get; private init; }

    public static int Write(Span<byte> body, long step, int shard, ShardNote note, ReadOnlySpan<float> gradient)
    {
        BinaryPrimitives.WriteInt64LittleEndian(body, step);
        BinaryPrimitives.WriteInt64LittleEndian(body[8..], note.Loss);
        BinaryPrimitives.WriteInt32LittleEndian(body[16..], shard);
        BinaryPrimitives.WriteInt32LittleEndian(body[20..], note.Invalid ? 1 : 0);
        MemoryMarshal.AsBytes(gradient).CopyTo(body[FixedBytes..]);
        return FixedBytes + gradient.Length * sizeof(float);
    }

    /// <exception cref="AisleException">AISLE-5131: not a reduced shard.</exception>
    public static ReducedFrame Parse(ReadOnlySpan<byte> body)
    {
        if (body.Length < FixedBytes || body.Length % sizeof(float) != 0) throw ContributionFrame.Malformed(body.Length);
        return new ReducedFrame
        {
            Step = BinaryPrimitives.ReadInt64LittleEndian(body),
            Note = new ShardNote(BinaryPrimitives.ReadInt64LittleEndian(body[8..]), BinaryPrimitives.ReadInt32LittleEndian(body[20..]) != 0),
            Shard = BinaryPrimitives.ReadInt32LittleEndian(body[16..]),
            Gradient = MemoryMarshal.Cast<byte, float>(body[FixedBytes..]),
        };
    }
}

/// <summary>A piece of a whole training state on its way to a learner. Pieces come in order; one at offset 0 begins anew.</summary>
internal readonly ref struct StateFrame
{
    private const int FixedBytes = 32;
    public const int MaxElements = 65536;

    /// <summary>The state's number.</summary>
    public long Step { get; private init; }

    /// <summary>Where the piece belongs in the state's numbers: see <see cref="TrainingState"/>.</summary>
    public int Offset { get; private init; }

    public (double Beta1, double Beta2) Powers { get; private init; }

    public ReadOnlySpan<float> Values { get; private init; }

    public static int MaxBodyBytes => FixedBytes + MaxElements * sizeof(float);

    public static int Write(Span<byte> body, long step, int offset, (double Beta1, double Beta2) powers, ReadOnlySpan<float> values)
    {
        BinaryPrimitives.WriteInt64LittleEndian(body, step);
        BinaryPrimitives.WriteInt64LittleEndian(body[8..], offset);
        BinaryPrimitives.WriteDoubleLittleEndian(body[16..], powers.Beta1);
        BinaryPrimitives.WriteDoubleLittleEndian(body[24..], powers.Beta2);
        MemoryMarshal.AsBytes(values).CopyTo(body[FixedBytes..]);
        return FixedBytes + values.Length * sizeof(float);
    }

    /// <exception cref="AisleException">AISLE-5131: not a piece of a state.</exception>
    public static StateFrame Parse(ReadOnlySpan<byte> body)
    {
        if (body.Length <= FixedBytes || body.Length % sizeof(float) != 0) throw ContributionFrame.Malformed(body.Length);
        var offset = BinaryPrimitives.ReadInt64LittleEndian(body[8..]);
        if (offset is < 0 or > int.MaxValue) throw ContributionFrame.Malformed(body.Length);
        return new StateFrame
        {
            Step = BinaryPrimitives.ReadInt64LittleEndian(body),
            Offset = (int)offset,
            Powers = (BinaryPrimitives.ReadDoubleLittleEndian(body[16..]), BinaryPrimitives.ReadDoubleLittleEndian(body[24..])),
            Values = MemoryMarshal.Cast<byte, float>(body[FixedBytes..]),
        };
    }
}
