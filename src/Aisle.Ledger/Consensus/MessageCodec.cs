using System.Buffers;
using System.Collections.Immutable;
using System.Diagnostics;

namespace Aisle.Ledger.Consensus;

/// <summary>
/// Messages as bytes: version, kind, sender, receiver, term, then the message's own fields, as <see cref="WireFormat"/> numbers. Every message has one encoding.
/// Length and checksum are the transport's business. Entries and chunks read are slices of the input, which must not be changed after.
/// </summary>
internal static class MessageCodec
{
    public const byte Version = 1;

    public static void Write(Message message, ArrayBufferWriter<byte> to)
    {
        WireFormat.Write(to, Version);
        WireFormat.Write(to, (ulong)KindOf(message));
        WireFormat.Write(to, message.From.Value);
        WireFormat.Write(to, message.To.Value);
        WireFormat.Write(to, message.Term);
        switch (message)
        {
            case VoteRequest ask:
                WireFormat.Write(to, ask.Round);
                WireFormat.Write(to, ask.Last);
                WireFormat.Write(to, (ulong)ask.Ballot);
                break;
            case VoteReply reply:
                WireFormat.Write(to, reply.Round);
                Write(to, reply.PreVote);
                Write(to, reply.Granted);
                Write(to, reply.Removed);
                break;
            case Append append:
                WireFormat.Write(to, append.Session);
                WireFormat.Write(to, append.Round);
                WireFormat.Write(to, append.Previous);
                WireFormat.Write(to, append.Commit);
                WireFormat.Write(to, (ulong)append.Entries.Length);
                // Terms only, as steps from one to the next: the indexes follow from the place, so that a gap cannot even be written (Rule 12).
                var term = append.Previous.Term;
                foreach (var entry in append.Entries)
                {
                    WireFormat.Write(to, entry.Term - term);
                    WireFormat.Write(to, (ulong)entry.Kind);
                    WireFormat.Write(to, entry.Payload.Span);
                    term = entry.Term;
                }
                break;
            case AppendReply reply:
                WireFormat.Write(to, reply.Session);
                WireFormat.Write(to, reply.Round);
                Write(to, reply.Accepted);
                WireFormat.Write(to, reply.Index);
                WireFormat.Write(to, reply.Hint);
                break;
            case SnapshotChunk chunk:
                WireFormat.Write(to, chunk.Session);
                WireFormat.Write(to, chunk.Position);
                chunk.Membership.WriteTo(to);
                WireFormat.Write(to, chunk.Offset);
                WireFormat.Write(to, chunk.Total);
                WireFormat.Write(to, chunk.Data.Span);
                break;
            case SnapshotReply reply:
                WireFormat.Write(to, reply.Session);
                WireFormat.Write(to, reply.Position);
                WireFormat.Write(to, reply.Offset);
                Write(to, reply.Installing);
                break;
            case TakeOver takeOver:
                WireFormat.Write(to, takeOver.Last);
                break;
        }
    }

    /// <exception cref="AisleException">AISLE-2070: not a message. AISLE-2071: of a newer version.</exception>
    public static Message Read(ReadOnlyMemory<byte> bytes)
    {
        var from = new WireReader(bytes);
        var version = from.Byte();
        if (version > Version)
        {
            throw new AisleException(LedgerCodes.MessageTooNew, $"A member speaks version {version}; this program knows {Version}.", "Update aisle on this machine.");
        }
        if (version != Version) throw WireReader.Malformed($"version {version}");
        var kind = from.Byte();
        var (sender, receiver, term) = (new MemberId(from.Unsigned()), new MemberId(from.Unsigned()), from.Number());
        Message message = kind switch
        {
            1 => new VoteRequest(sender, receiver, term, from.Number(), from.Position(), (Ballot)from.Count((int)Ballot.Transfer)),
            2 => new VoteReply(sender, receiver, term, from.Number(), from.Flag(), from.Flag(), from.Flag()),
            3 => ReadAppend(ref from, sender, receiver, term),
            4 => new AppendReply(sender, receiver, term, from.Number(), from.Number(), from.Flag(), from.Number(), from.Position()),
            5 => ReadChunk(ref from, sender, receiver, term),
            6 => new SnapshotReply(sender, receiver, term, from.Number(), from.Position(), from.Number(), from.Flag()),
            7 => new TakeOver(sender, receiver, term, from.Position()),
            _ => throw WireReader.Malformed($"kind {kind}"),
        };
        from.End();
        return message;
    }

    private static byte KindOf(Message message) => message switch
    {
        VoteRequest => 1,
        VoteReply => 2,
        Append => 3,
        AppendReply => 4,
        SnapshotChunk => 5,
        SnapshotReply => 6,
        TakeOver => 7,
        _ => throw new UnreachableException($"No encoding for {message.GetType().Name}; give MessageCodec one."),
    };

    private static Append ReadAppend(ref WireReader from, MemberId sender, MemberId receiver, long term)
    {
        var (session, round, previous, commit) = (from.Number(), from.Number(), from.Position(), from.Number());
        if (previous.Term > term) throw WireReader.Malformed($"an entry of term {previous.Term} from a leader of term {term}");
        var count = from.Count(int.MaxValue);
        var entries = ImmutableArray.CreateBuilder<Entry>(Math.Min(count, 1024));   // a count that lies costs nothing: reading ends where the bytes do
        var (entryTerm, index) = (previous.Term, previous.Index);
        for (var i = 0; i < count; i++)
        {
            entryTerm += from.Number();
            if (entryTerm > term || entryTerm == 0) throw WireReader.Malformed($"an entry of term {entryTerm} from a leader of term {term}");
            var kind = (EntryKind)from.Count((int)EntryKind.Membership);
            entries.Add(new Entry(entryTerm, ++index, kind, from.Bytes()));
            if (kind == EntryKind.Membership) Membership.Read(entries[^1].Payload);
        }
        return new Append(sender, receiver, term, session, round, previous, entries.DrainToImmutable(), commit);
    }

    private static SnapshotChunk ReadChunk(ref WireReader from, MemberId sender, MemberId receiver, long term)
    {
        var (session, position, membership) = (from.Number(), from.Position(), Membership.ReadFrom(ref from));
        var (offset, total, data) = (from.Number(), from.Number(), from.Bytes());
        if (offset + data.Length > total || position.Index == 0) throw WireReader.Malformed($"a chunk of {data.Length} bytes at {offset} of {total}");
        return new SnapshotChunk(sender, receiver, term, session, position, membership, offset, total, data);
    }

    private static void Write(ArrayBufferWriter<byte> to, bool flag) => WireFormat.Write(to, flag ? 1UL : 0UL);
}
