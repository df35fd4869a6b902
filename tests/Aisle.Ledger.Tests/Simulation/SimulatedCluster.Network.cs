using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Tests.Simulation;

// Messages are lost, doubled, late and out of order; some ways are cut, in one direction.
internal sealed partial class SimulatedCluster
{
    private readonly Dictionary<(int From, int To), int> _cuts = [];

    private void Send(SimulatedMember from, Message message)
    {
        if (_bug == Bug.ConfirmOwnLast && message is AppendReply { Accepted: true } reply) message = reply with { Index = Math.Min(from.Raft!.Last.Index, from.Disk.LastIndex) };
        if (_bug is not (Bug.AcknowledgeBeforeFlush or Bug.LostVote)) _invariants.Sent(from, message);
        SendUnseen(message);
    }

    private void SendUnseen(Message message)
    {
        var (from, to) = (IndexOf(message.From), IndexOf(message.To));
        if (to >= _members.Count || _cuts.ContainsKey((from, to))) return;
        if (!_healed && _chance.Percent(_plan.LossPercent)) return;
        var copies = !_healed && _chance.Percent(_plan.DoublePercent) ? 2 : 1;
        if (_chance.Percent(3)) message = Reencoded(message);
        for (var i = 0; i < copies; i++)
        {
            var delay = 1 + (_healed ? _chance.Next(3) : _chance.Percent(2) ? _chance.Next(_plan.SlowestMessage * 10) : _chance.Next(_plan.SlowestMessage));
            At(_time + delay, new Event(What.Deliver, to, 0, message));
        }
    }

    // A bug that takes old answers for new ones shows here, where the member cannot tell them apart any more.
    private Message Received(SimulatedMember member, Message message) =>
        _bug == Bug.LateRepliesCount && message is AppendReply { Accepted: true } reply && reply.Term < member.Raft!.Term && member.Raft.PeerOf(reply.From) is { } peer
            ? reply with { Term = member.Raft.Term, Session = peer.Session } : message;

    private Message Reencoded(Message message)
    {
        _wire.ResetWrittenCount();
        MessageCodec.Write(message, _wire);
        return MessageCodec.Read(_wire.WrittenSpan.ToArray());
    }

    private void Cut(int from, int to, long until)
    {
        if (from == to) return;
        _cuts[(from, to)] = _cuts.GetValueOrDefault((from, to)) + 1;
        At(until, new Event(What.Uncut, 0, 0, (from, to)));
    }

    private void Uncut((int, int) way)
    {
        if (_cuts.TryGetValue(way, out var count) && count > 1) _cuts[way] = count - 1;
        else _cuts.Remove(way);
    }
}
