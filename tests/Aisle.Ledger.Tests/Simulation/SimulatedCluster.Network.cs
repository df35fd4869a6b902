using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Tests.Simulation;

// Messages are lost, doubled, late and out of order; some ways are cut, in one direction.
internal sealed partial class SimulatedCluster
{
    private readonly Dictionary<(int From, int To), int> _cuts = [];
    private readonly Dictionary<MemberId, long> _newestRound = [];

    private void Send(SimulatedMember from, Message message)
    {
        if (_bug == Bug.ConfirmOwnLast && message is AppendReply { Accepted: true } reply) message = reply with { Index = Math.Min(from.Raft!.Last.Index, from.Disk.LastIndex) };
        _invariants.Sent(from, message);
        SendUnseen(message);
    }

    private void SendUnseen(Message message)
    {
        if (message is VoteRequest ask) _newestRound[ask.From] = ask.Round;
        var (from, to) = (IndexOf(message.From), IndexOf(message.To));
        if (to >= _members.Count || _cuts.ContainsKey((from, to))) return;
        if (!_healed && _chance.Percent(_plan.LossPercent)) return;
        var copies = !_healed && _chance.Percent(_plan.DoublePercent) ? 2 : 1;
        if (_chance.Percent(3)) message = Reencoded(message);
        for (var i = 0; i < copies; i++)
        {
            var delay = 1 + (_healed ? _chance.Next(3) : _chance.Percent(0.3) ? _chance.Next(1_500) : _chance.Percent(2) ? _chance.Next(_plan.SlowestMessage * 10) : _chance.Next(_plan.SlowestMessage));
            At(_time + delay, new Event(What.Deliver, to, 0, message));
        }
    }

    // A bug that takes late answers for answers to what was sent last shows here, where the member cannot tell them apart any more.
    private Message Received(SimulatedMember member, Message message)
    {
        var raft = member.Raft!;
        if (_bug != Bug.LateRepliesCount || message.Term >= raft.Term) return message;
        return message switch
        {
            AppendReply { Accepted: true } reply when raft.PeerOf(reply.From) is { } peer => reply with { Term = raft.Term, Session = peer.Session, Index = peer.Next - 1 },
            VoteReply { PreVote: false, Granted: true } vote => vote with { Term = raft.Term, Round = _newestRound.GetValueOrDefault(raft.Self) },
            _ => message,
        };
    }

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
