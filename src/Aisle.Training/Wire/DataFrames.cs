using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Aisle.Training.Numerics;
using Aisle.Training.Protocol;

namespace Aisle.Training.Wire;

/// <summary>What a shard's sum says beside its numbers.</summary>
/// <param name="Loss">Sum of the slices' losses in fixed point, so that their order cannot matter either.</param>
/// <param name="Invalid">Some slice's gradient or loss did not fit: the step is skipped by everyone.</param>
public readonly record struct ShardNote(long Loss, bool Invalid)
{
    public ShardNote Plus(ShardNote other) => new(Loss + other.Loss, Invalid | other.Invalid);
}

/// <summary>Where a frame's numbers lie when it does not carry them: in the sender's arena, as long as the buffer there keeps its generation.</summary>
internal readonly record struct NumbersPlace(long Place, long Generation)
{
    public const int SizeBytes = 16;
    public static readonly NumbersPlace InFrame = new(-1, 0);

    public bool IsInFrame => Place < 0;

    public static NumbersPlace Read(ReadOnlySpan<byte> source)
    {
        if (source.Length != SizeBytes) throw ContributionFrame.Malformed(source.Length);
        var place = new NumbersPlace(BinaryPrimitives.ReadInt64LittleEndian(source), BinaryPrimitives.ReadInt64LittleEndian(source[8..]));
        return place.IsInFrame ? throw ContributionFrame.Malformed(source.Length) : place;
    }

    public void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteInt64LittleEndian(target, Place);
        BinaryPrimitives.WriteInt64LittleEndian(target[8..], Generation);
    }
}

/// <summary>One shard of the sum over some slices: its numbers, or where they lie.</summary>
internal readonly ref struct ContributionFrame
{
    private const int FixedBytes = 32;

    public long Step { get; private init; }

    public int Shard { get; private init; }

    public ShardNote Note { get; private init; }

    /// <summary>Bits of a <see cref="SliceSet"/>, lowest first.</summary>
    public ReadOnlySpan<ulong> Slices { get; private init; }

    public NumberForm Form { get; private init; }

    public NumbersPlace Place { get; private init; }

    /// <summary>Empty when they lie elsewhere.</summary>
    public ReadOnlySpan<byte> Numbers { get; private init; }

    /// <summary>Everything but the numbers.</summary>
    public static int MaxHeadBytes => FixedBytes + SliceSet.MaxSlices / 8 + NumbersPlace.SizeBytes;

    public static int MaxBodyBytes(int shardElements) => MaxHeadBytes + PackedBlocks.MaxSizeBytes(shardElements);

    /// <summary>Writes all but the numbers, which follow, unless <paramref name="place"/> says that they lie elsewhere.</summary>
    /// <returns>Bytes written.</returns>
    public static int WriteHead(Span<byte> body, long step, int shard, ShardNote note, SliceSet slices, NumberForm form, NumbersPlace place)
    {
        var words = MemoryMarshal.AsBytes(slices.Words);
        BinaryPrimitives.WriteInt64LittleEndian(body, step);
        BinaryPrimitives.WriteInt64LittleEndian(body[8..], note.Loss);
        BinaryPrimitives.WriteInt32LittleEndian(body[16..], shard);
        (body[20], body[21], body[22], body[23]) = (note.Invalid ? (byte)1 : (byte)0, (byte)form, place.IsInFrame ? (byte)0 : (byte)1, 0);
        BinaryPrimitives.WriteInt64LittleEndian(body[24..], slices.Words.Length);
        words.CopyTo(body[FixedBytes..]);
        var written = FixedBytes + words.Length;
        if (place.IsInFrame) return written;
        place.Write(body[written..]);
        return written + NumbersPlace.SizeBytes;
    }

    /// <exception cref="AisleException">AISLE-5131: not a contribution.</exception>
    public static ContributionFrame Parse(ReadOnlySpan<byte> body)
    {
        if (body.Length < FixedBytes || body[21] > (byte)NumberForm.Packed || body[22] > 1) throw Malformed(body.Length);
        var words = BinaryPrimitives.ReadInt64LittleEndian(body[24..]);
        if (words is < 1 or > SliceSet.MaxSlices / 64 || body.Length < FixedBytes + words * 8) throw Malformed(body.Length);
        var rest = body[(FixedBytes + (int)words * 8)..];
        var place = body[22] == 0 ? NumbersPlace.InFrame : NumbersPlace.Read(rest);
        return new ContributionFrame
        {
            Step = BinaryPrimitives.ReadInt64LittleEndian(body),
            Note = new ShardNote(BinaryPrimitives.ReadInt64LittleEndian(body[8..]), body[20] != 0),
            Shard = BinaryPrimitives.ReadInt32LittleEndian(body[16..]),
            Slices = MemoryMarshal.Cast<byte, ulong>(body.Slice(FixedBytes, (int)words * 8)),
            Form = (NumberForm)body[21],
            Place = place,
            Numbers = place.IsInFrame ? rest : default,
        };
    }

    /// <summary>Whether the numbers in the frame are so many, in the form that it says.</summary>
    public bool Holds(int elements) => Form switch
    {
        NumberForm.Float32 => Numbers.Length == elements * (long)sizeof(float),
        NumberForm.Fixed64 => Numbers.Length == elements * (long)sizeof(long),
        _ => PackedBlocks.IsWellFormed(Numbers, elements),
    };

    internal static AisleException Malformed(int bytes) =>
        new("AISLE-5131", $"A frame of {bytes} bytes does not hold what its kind says.", "Start the coordinator and all workers from one version.");
}

/// <summary>One shard of the mean gradient over all slices: its numbers, or where they lie.</summary>
internal readonly ref struct ReducedFrame
{
    private const int FixedBytes = 24;

    public long Step { get; private init; }

    public int Shard { get; private init; }

    public ShardNote Note { get; private init; }

    public NumbersPlace Place { get; private init; }

    /// <summary>Empty when they lie elsewhere.</summary>
    public ReadOnlySpan<float> Gradient { get; private init; }

    public static int MaxHeadBytes => FixedBytes + NumbersPlace.SizeBytes;

    /// <summary>Writes all but the numbers, which follow, unless <paramref name="place"/> says that they lie elsewhere.</summary>
    /// <returns>Bytes written.</returns>
    public static int WriteHead(Span<byte> body, long step, int shard, ShardNote note, NumbersPlace place)
    {
        BinaryPrimitives.WriteInt64LittleEndian(body, step);
        BinaryPrimitives.WriteInt64LittleEndian(body[8..], note.Loss);
        BinaryPrimitives.WriteInt32LittleEndian(body[16..], shard);
        (body[20], body[21], body[22], body[23]) = (note.Invalid ? (byte)1 : (byte)0, place.IsInFrame ? (byte)0 : (byte)1, 0, 0);
        if (place.IsInFrame) return FixedBytes;
        place.Write(body[FixedBytes..]);
        return FixedBytes + NumbersPlace.SizeBytes;
    }

    /// <exception cref="AisleException">AISLE-5131: not a reduced shard.</exception>
    public static ReducedFrame Parse(ReadOnlySpan<byte> body)
    {
        if (body.Length < FixedBytes || body.Length % sizeof(float) != 0 || body[21] > 1) throw ContributionFrame.Malformed(body.Length);
        var place = body[21] == 0 ? NumbersPlace.InFrame : NumbersPlace.Read(body[FixedBytes..]);
        return new ReducedFrame
        {
            Step = BinaryPrimitives.ReadInt64LittleEndian(body),
            Note = new ShardNote(BinaryPrimitives.ReadInt64LittleEndian(body[8..]), body[20] != 0),
            Shard = BinaryPrimitives.ReadInt32LittleEndian(body[16..]),
            Place = place,
            Gradient = place.IsInFrame ? MemoryMarshal.Cast<byte, float>(body[FixedBytes..]) : default,
        };
    }
}

/// <summary>A shard's piece of a training state on its way to a learner.</summary>
internal readonly ref struct StateFrame
{
    private const int FixedBytes = 32;

    /// <summary>The state's number.</summary>
    public long Step { get; private init; }

    public int Shard { get; private init; }

    public OptimizerPowers Powers { get; private init; }

    /// <summary>The shard's weights, then its part of each of the optimiser's slots.</summary>
    public ReadOnlySpan<float> Values { get; private init; }

    public static int MaxHeadBytes => FixedBytes;

    /// <summary>Writes all but the values, which follow.</summary>
    /// <returns>Bytes written.</returns>
    public static int WriteHead(Span<byte> body, long step, int shard, OptimizerPowers powers)
    {
        BinaryPrimitives.WriteInt64LittleEndian(body, step);
        BinaryPrimitives.WriteInt64LittleEndian(body[8..], shard);
        BinaryPrimitives.WriteDoubleLittleEndian(body[16..], powers.Beta1);
        BinaryPrimitives.WriteDoubleLittleEndian(body[24..], powers.Beta2);
        return FixedBytes;
    }

    /// <exception cref="AisleException">AISLE-5131: not a piece of a state.</exception>
    public static StateFrame Parse(ReadOnlySpan<byte> body)
    {
        if (body.Length <= FixedBytes || body.Length % sizeof(float) != 0) throw ContributionFrame.Malformed(body.Length);
        var shard = BinaryPrimitives.ReadInt64LittleEndian(body[8..]);
        if (shard is < 0 or > int.MaxValue) throw ContributionFrame.Malformed(body.Length);
        return new StateFrame
        {
            Step = BinaryPrimitives.ReadInt64LittleEndian(body),
            Shard = (int)shard,
            Powers = new OptimizerPowers(BinaryPrimitives.ReadDoubleLittleEndian(body[16..]), BinaryPrimitives.ReadDoubleLittleEndian(body[24..])),
            Values = MemoryMarshal.Cast<byte, float>(body[FixedBytes..]),
        };
    }
}

/// <summary>A learner asks for a shard's piece of a state, of this one or a later one.</summary>
internal readonly record struct StateAskedFrame(int Shard, long AtLeast)
{
    public const int SizeBytes = 16;

    public void Write(Span<byte> body)
    {
        BinaryPrimitives.WriteInt64LittleEndian(body, Shard);
        BinaryPrimitives.WriteInt64LittleEndian(body[8..], AtLeast);
    }

    /// <exception cref="AisleException">AISLE-5131: nothing that a learner asks.</exception>
    public static StateAskedFrame Parse(ReadOnlySpan<byte> body)
    {
        if (body.Length != SizeBytes) throw ContributionFrame.Malformed(body.Length);
        var (shard, atLeast) = (BinaryPrimitives.ReadInt64LittleEndian(body), BinaryPrimitives.ReadInt64LittleEndian(body[8..]));
        return shard is >= 0 and <= int.MaxValue && atLeast >= 0 ? new StateAskedFrame((int)shard, atLeast) : throw ContributionFrame.Malformed(body.Length);
    }
}
