using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Aisle.Artifacts;

/// <summary>First byte of every node, so that no node can be read as one of another kind.</summary>
internal enum NodeKind : byte
{
    Leaf = 1,
    Inner = 2,
    Page = 3,
    Root = 4,
    Index = 5,
}

/// <summary>Writes the one binary form of a node: little-endian, lengths before content, nothing optional.</summary>
internal readonly ref struct NodeWriter
{
    public const byte Version = 1;

    private readonly ArrayBufferWriter<byte> _buffer = new(4096);

    public NodeWriter(NodeKind kind)
    {
        Byte((byte)kind);
        Byte(Version);
    }

    public byte[] ToArray() => _buffer.WrittenSpan.ToArray();

    public void Byte(byte value) => _buffer.Write([value]);

    public void U16(int value)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_buffer.GetSpan(2), checked((ushort)value));
        _buffer.Advance(2);
    }

    public void U32(int value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_buffer.GetSpan(4), checked((uint)value));
        _buffer.Advance(4);
    }

    public void U64(long value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(_buffer.GetSpan(8), checked((ulong)value));
        _buffer.Advance(8);
    }

    public void Digest(Digest value)
    {
        value.CopyTo(_buffer.GetSpan(Artifacts.Digest.SizeBytes));
        _buffer.Advance(Artifacts.Digest.SizeBytes);
    }

    public void Text(string value)
    {
        var bytes = EntryPath.Encode(value);
        U16(bytes.Length);
        _buffer.Write(bytes);
    }
}

/// <summary>Reads a node back. Every shortfall is an <see cref="ArtifactInvalidException"/>; nothing is allocated on a length's word alone.</summary>
internal ref struct NodeReader
{
    private ReadOnlySpan<byte> _rest;

    public NodeReader(ReadOnlySpan<byte> node, NodeKind kind)
    {
        _rest = node;
        var found = Byte();
        if (found != (byte)kind) throw new ArtifactInvalidException($"a node of kind {found} stands where a {kind} node belongs");
        var version = Byte();
        if (version != NodeWriter.Version) throw new ArtifactInvalidException($"node version {version} is not known");
    }

    public byte Byte() => Take(1)[0];

    public int U16() => BinaryPrimitives.ReadUInt16LittleEndian(Take(2));

    public int U32()
    {
        var value = BinaryPrimitives.ReadUInt32LittleEndian(Take(4));
        return value <= int.MaxValue ? (int)value : throw new ArtifactInvalidException($"a length of {value} is out of bounds");
    }

    public long U64()
    {
        var value = BinaryPrimitives.ReadUInt64LittleEndian(Take(8));
        return value <= long.MaxValue / 4 ? (long)value : throw new ArtifactInvalidException($"a size of {value} is out of bounds");
    }

    public Digest Digest() => new(Take(Artifacts.Digest.SizeBytes));

    public string Text()
    {
        try
        {
            return EntryPath.Decode(Take(U16()));
        }
        catch (DecoderFallbackException)
        {
            throw new ArtifactInvalidException("a text in it is not UTF-8");
        }
    }

    /// <summary>Reads a count of items that must be between 1 and <paramref name="most"/>.</summary>
    public int Count(int most)
    {
        var count = U16();
        return count >= 1 && count <= most ? count : throw new ArtifactInvalidException($"a node of {count} items is out of bounds");
    }

    public readonly void End()
    {
        if (!_rest.IsEmpty) throw new ArtifactInvalidException($"{_rest.Length} bytes follow the end of a node");
    }

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count > _rest.Length) throw new ArtifactInvalidException("a node is cut short");
        var taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }
}
