using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Tests.Simulation;

// Each client asks for one thing at a time, a write under its session or a read, and asks again elsewhere when no answer comes.
internal sealed partial class SimulatedCluster
{
    private readonly Request?[] _asking = new Request?[SimulatedState.Clients];
    private readonly long[] _sequences = new long[SimulatedState.Clients];
    private readonly long[] _acknowledged = new long[SimulatedState.Clients];
    private readonly int[] _asksMember = new int[SimulatedState.Clients];
    private readonly int[] _doneSinceHealed = new int[SimulatedState.Clients];
    private long _requests;

    private void Ask(int client)
    {
        if (_asking[client] is null)
        {
            if (_healed && _doneSinceHealed[client] >= 2) return;
            // A read and a write at least after healing.
            var write = _healed ? _doneSinceHealed[client] == 0 : _chance.Percent(70);
            _asking[client] = new Request(0, client, write ? ++_sequences[client] : 0, _chance.Next(SimulatedState.Keys), _invariants.NewestAnswered, 0);
        }
        // Numbered anew each time: a late answer to an earlier attempt is no answer to this one.
        var request = _asking[client]! with { Id = ++_requests, Attempt = _asking[client]!.Attempt + 1 };
        _asking[client] = request;
        At(_time + 250, new Event(What.Timeout, 0, 0, request));
        var member = _members[_asksMember[client] % _members.Count];
        if (member.Raft is null || _time < member.PausedUntil)
        {
            _asksMember[client] = _chance.Next(_members.Count);
            At(_time + 20, new Event(What.Client, 0, 0, client));
            return;
        }
        member.Requests[request.Id] = request;
        if (request.Sequence > 0) Step(member, new Propose(request.Id, SimulatedState.Command(client, request.Sequence, request.Key)));
        else if (_bug == Bug.ReadWithoutRound && member.Raft.Role == Role.Leader) Done(member, request, member.State.Applied);
        else Step(member, new Read(request.Id));
    }

    private void TimeOut(Request request)
    {
        if (_asking[request.Client]?.Id != request.Id) return;
        _asksMember[request.Client] = _chance.Next(_members.Count);
        Ask(request.Client);
    }

    private void Answer(SimulatedMember member, Answer answer)
    {
        if (!member.Requests.Remove(answer.Id, out var request)) return;
        switch (answer.Verdict)
        {
            case Verdict.Done when request.Sequence == 0:
                if (member.State.Applied < answer.Position.Index) throw new BrokenPromiseException($"a read of {answer.Position.Index} is let go at {member.State.Applied}");
                Done(member, request, member.State.Applied);
                break;
            case Verdict.Done:
                member.AwaitingApply.Add((answer.Position.Index, request));
                AnswerApplied(member);
                break;
            default:
                if (_asking[request.Client]?.Id != request.Id) return;
                _asksMember[request.Client] = answer.Leader == MemberId.Nobody ? _chance.Next(_members.Count) : IndexOf(answer.Leader);
                At(_time + 10, new Event(What.Client, 0, 0, request.Client));
                break;
        }
    }

    private void AnswerApplied(SimulatedMember member)
    {
        for (var i = member.AwaitingApply.Count - 1; i >= 0; i--)
        {
            var (index, request) = member.AwaitingApply[i];
            if (index > member.State.Applied) continue;
            member.AwaitingApply.RemoveAt(i);
            var state = member.State;
            if (state.SequenceOf(request.Client) < request.Sequence) throw new BrokenPromiseException($"{request} has committed at {index} and was not applied");
            if (state.SequenceOf(request.Client) == request.Sequence) Done(member, request, state.AnswerOf(request.Client));
        }
    }

    private void Done(SimulatedMember member, Request request, long index)
    {
        if (_asking[request.Client]?.Id != request.Id) return;   // given up meanwhile
        Log($"client {request.Client} is answered by {member.Id}: {(request.Sequence > 0 ? $"write {request.Sequence}" : "read")} at {index}");
        _invariants.Answered(index, request.Floor, request.Sequence > 0);
        _asking[request.Client] = null;
        if (request.Sequence > 0) _acknowledged[request.Client] = request.Sequence;
        _doneSinceHealed[request.Client]++;
        At(_time + 1 + _chance.Next(_healed ? 5 : 25), new Event(What.Client, 0, 0, request.Client));
    }
}
