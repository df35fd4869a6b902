using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text;
using Aisle.Artifacts;

namespace Aisle.Ledger;

/// <summary>
/// A state as a snapshot holds it: the length and the JSON of all but the names, then the number of names and each name in a few fixed fields. There may be
/// millions of names and there is little of everything else; so names are written and read as they pass, without text and without a second copy in memory.
/// Equal states give equal bytes.
/// </summary>
internal static class SnapshotCodec
{
    // Digest, ticks, minutes from UTC, number of the version, whether a job moved it, that job.
    private const int VersionBytes = Digest.SizeBytes + 8 + 2 + 4 + 1 + 8;

    public static void Write(LedgerState state, Stream to)
    {
        var rest = LedgerCodec.Write(state with { Names = OrdinalMap.Empty<NameEntry>() });
        Span<byte> bytes = stackalloc byte[256];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, rest.Length);
        to.Write(bytes[..8]);
        to.Write(rest);
        BinaryPrimitives.WriteInt64LittleEndian(bytes, state.Names.Count);
        to.Write(bytes[..8]);
        foreach (var (name, entry) in state.Names)
        {
            Write(name, to, bytes);
            BinaryPrimitives.WriteInt32LittleEndian(bytes, entry.History.Length);
            to.Write(bytes[..4]);
            foreach (var version in entry.History)
            {
                version.Digest.CopyTo(bytes);
                BinaryPrimitives.WriteInt64LittleEndian(bytes[32..], version.At.Ticks);
                BinaryPrimitives.WriteInt16LittleEndian(bytes[40..], (short)version.At.TotalOffsetMinutes);
                BinaryPrimitives.WriteInt32LittleEndian(bytes[42..], version.Number);
                bytes[46] = version.By is null ? (byte)0 : (byte)1;
                BinaryPrimitives.WriteInt64LittleEndian(bytes[47..], version.By?.Number ?? 0);
                to.Write(bytes[..VersionBytes]);
            }
            BinaryPrimitives.WriteInt32LittleEndian(bytes, entry.Aliases.Count);
            to.Write(bytes[..4]);
            foreach (var (alias, digest) in entry.Aliases)
            {
                Write(alias, to, bytes);
                digest.CopyTo(bytes);
                to.Write(bytes[..Digest.SizeBytes]);
            }
        }
    }

    /// <exception cref="AisleException">AISLE-2007: not a state.</exception>
    public static LedgerState Read(Stream from)
    {
        try
        {
            var reader = new Reader(from);
            var length = reader.Long();
            if (length is < 0 or > int.MaxValue) throw NotAState("its length makes no sense.");
            var state = LedgerCodec.ReadState(reader.Bytes((int)length));
            return state with { Names = ImmutableSortedDictionary.CreateRange(StringComparer.Ordinal, ReadNames(reader)) };
        }
        catch (EndOfStreamException)
        {
            throw NotAState("it ends too early.");
        }
        catch (Exception e) when (e is ArgumentException)
        {
            throw NotAState(e.Message);
        }
    }

    /// <summary>One by one, in order: so the map is built from the names as they are read.</summary>
    private static IEnumerable<KeyValuePair<string, NameEntry>> ReadNames(Reader reader)
    {
        var last = "";
        for (var count = reader.Long(); count > 0; count--)
        {
            var name = reader.Text();
            if (string.CompareOrdinal(last, name) >= 0) throw NotAState("its names are not in order.");
            last = name;
            var versions = reader.Count(LedgerState.MaxVersions);
            if (versions == 0) throw NotAState($"{name} has no version.");
            var history = new NameVersion[versions];
            for (var i = 0; i < versions; i++)
            {
                var bytes = reader.Take(VersionBytes);
                history[i] = new NameVersion(
                    BinaryPrimitives.ReadInt32LittleEndian(bytes[42..]),
                    new Digest(bytes[..Digest.SizeBytes]),
                    new DateTimeOffset(BinaryPrimitives.ReadInt64LittleEndian(bytes[32..]), TimeSpan.FromMinutes(BinaryPrimitives.ReadInt16LittleEndian(bytes[40..]))),
                    bytes[46] == 0 ? null : new JobId(BinaryPrimitives.ReadInt64LittleEndian(bytes[47..])));
            }
            var entry = new NameEntry { History = System.Runtime.InteropServices.ImmutableCollectionsMarshal.AsImmutableArray(history) };
            if (reader.Count(LedgerState.MaxAliases) is > 0 and var aliases)
            {
                var map = entry.Aliases.ToBuilder();
                for (var i = 0; i < aliases; i++) map.Add(reader.Text(), new Digest(reader.Take(Digest.SizeBytes)));
                entry = entry with { Aliases = map.ToImmutable() };
            }
            yield return new(name, entry);
        }
        reader.End();
    }

    private static void Write(string text, Stream to, Span<byte> bytes)
    {
        // Names and aliases are ASCII by their grammar, and at most 256 characters.
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, (ushort)text.Length);
        to.Write(bytes[..2]);
        Encoding.ASCII.GetBytes(text, bytes);
        to.Write(bytes[..text.Length]);
    }

    private static AisleException NotAState(string why) => new(LedgerCodes.CommandMalformed, $"This is not a ledger state: {why}", "Run the version of aisle that wrote it, or a newer one.");

    /// <summary>Fields from a stream through a buffer.</summary>
    private sealed class Reader(Stream from)
    {
        private readonly byte[] _buffer = new byte[64 << 10];
        private int _at, _filled;

        /// <summary>The next bytes, until the next call; at most the buffer's size.</summary>
        public ReadOnlySpan<byte> Take(int count)
        {
            if (_filled - _at < count)
            {
                _buffer.AsSpan(_at, _filled - _at).CopyTo(_buffer);
                (_at, _filled) = (0, _filled - _at);
                _filled += from.ReadAtLeast(_buffer.AsSpan(_filled), count - _filled);
            }
            _at += count;
            return _buffer.AsSpan(_at - count, count);
        }

        /// <summary>Grows with what is there, not with what is claimed.</summary>
        public ReadOnlySpan<byte> Bytes(int count)
        {
            var bytes = new MemoryStream();
            while (count > 0)
            {
                var part = Math.Min(count, _buffer.Length);
                bytes.Write(Take(part));
                count -= part;
            }
            return bytes.GetBuffer().AsSpan(0, (int)bytes.Length);
        }

        public long Long() => BinaryPrimitives.ReadInt64LittleEndian(Take(8));

        public int Count(int most) => BinaryPrimitives.ReadInt32LittleEndian(Take(4)) is >= 0 and var count && count <= most ? count : throw NotAState("it has too many of something.");

        public string Text() => BinaryPrimitives.ReadUInt16LittleEndian(Take(2)) is > 0 and <= LedgerGrammar.MaxNameLength and var length
            ? Encoding.ASCII.GetString(Take(length))
            : throw NotAState("a name's length makes no sense.");

        public void End()
        {
            if (_at != _filled || from.ReadByte() >= 0) throw NotAState("something follows it.");
        }
    }
}
