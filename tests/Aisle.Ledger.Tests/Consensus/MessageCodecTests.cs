using System.Buffers;
using System.Collections.Immutable;
using Aisle.Ledger.Consensus;
using Aisle.Ledger.Tests.Simulation;

namespace Aisle.Ledger.Tests.Consensus;

public sealed class MessageCodecTests
{
    private static readonly MemberId One = new(1);
    private static readonly MemberId Two = new(300);

    private static readonly Message[] Samples =
    [
        new VoteRequest(One, Two, 7, 3, new(6, 1_000_000), Ballot.PreVote),
        new VoteRequest(One, Two, 7, 3, default, Ballot.Transfer),
        new VoteReply(Two, One, 7, 3, PreVote: true, Granted: false, Removed: true),
        new Append(One, Two, 7, 1, 99, new(5, 10), [], 10),
        new Append(One, Two, 7, 1, 99, new(5, 10), Entries(), 10),
        new AppendReply(Two, One, 7, 1, 99, Accepted: false, 10, new(4, 9)),
        new SnapshotChunk(One, Two, 7, 2, new(6, 500), Membership.Of(1, 2, 300).AddLearner(new(301)), 20, 25, new byte[] { 1, 2, 3, 4, 5 }),
        new SnapshotReply(Two, One, 7, 2, new(6, 500), 25, Installing: true),
        new TakeOver(One, Two, 7, new(7, 512)),
    ];

    [Fact]
    public void Every_message_is_read_as_it_was_written()
    {
        foreach (var message in Samples)
        {
            var bytes = Bytes(message);
            Assert.Equal(message.ToString(), MessageCodec.Read(bytes).ToString());
            Assert.Equal(bytes, Bytes(MessageCodec.Read(bytes)));
        }
    }

    [Fact]
    public void Damaged_bytes_are_refused_or_are_another_whole_message()
    {
        var chance = new Chance(5);
        var refused = 0;
        const int Rounds = 60_000;
        for (var round = 0; round < Rounds; round++)
        {
            var bytes = Bytes(chance.OneOf(Samples)).ToList();
            for (var damage = chance.Between(1, 3); damage > 0 && bytes.Count > 0; damage--)
            {
                switch (chance.Next(4))
                {
                    case 0: bytes[chance.Next(bytes.Count)] ^= (byte)(1 << chance.Next(8)); break;
                    case 1: bytes.RemoveRange(chance.Next(bytes.Count), 1); break;
                    case 2: bytes.Insert(chance.Next(bytes.Count + 1), (byte)chance.Next(256)); break;
                    default: bytes[chance.Next(bytes.Count)] = 0xFF; break;
                }
            }
            try
            {
                // Whatever is taken for a message has this encoding and no other.
                Assert.Equal(bytes, Bytes(MessageCodec.Read(bytes.ToArray())));
            }
            catch (AisleException e)
            {
                Assert.Contains(e.Code, (string[])[LedgerCodes.MessageMalformed, LedgerCodes.MessageTooNew]);
                refused++;
            }
        }
        Assert.True(refused > Rounds / 3, $"{refused} of {Rounds} refused");
    }

    [Fact]
    public void A_message_cut_anywhere_is_refused()
    {
        foreach (var bytes in Samples.Select(Bytes))
        {
            for (var length = 0; length < bytes.Length; length++) Assert.Throws<AisleException>(() => MessageCodec.Read(bytes.AsMemory(0, length)));
        }
    }

    [Fact]
    public void A_newer_version_is_refused_by_name() =>
        Assert.Equal(LedgerCodes.MessageTooNew, Assert.Throws<AisleException>(() => MessageCodec.Read(new byte[] { MessageCodec.Version + 1 })).Code);

    private static ImmutableArray<Entry> Entries() =>
    [
        new Entry(5, 11, EntryKind.Commands, new byte[] { 9, 8, 7 }),
        new Entry(7, 12, EntryKind.Blank, default),
        new Entry(7, 13, EntryKind.Membership, Membership.Of(1, 2, 3).ToBytes()),
    ];

    private static byte[] Bytes(Message message)
    {
        var to = new ArrayBufferWriter<byte>();
        MessageCodec.Write(message, to);
        return to.WrittenSpan.ToArray();
    }
}
