using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Tests.Simulation;

internal sealed partial class SimulatedCluster
{
    private const int MostMembers = 8;

    private SimulatedMember? LeaderNow => _members.Where(member => member.Raft is { Role: Role.Leader }).MaxBy(member => member.Raft!.Term);

    private void Strike(Fault fault)
    {
        Log($"FAULT {fault}");
        var (a, b) = (fault.A % _members.Count, fault.B % _members.Count);
        // Half of all trouble is for the leader.
        if (fault.A % 2 == 0 && LeaderNow is { } leading) a = IndexOf(leading.Id);
        var member = _members[a];
        switch (fault.Trouble)
        {
            case Trouble.Crash: Crash(member, fault.Lasting); break;
            case Trouble.CrashAll: foreach (var each in _members) Crash(each, 1 + _chance.Next(fault.Lasting)); break;
            case Trouble.FailFlush: member.FlushFails = true; break;
            case Trouble.SlowDisk: member.SlowDiskUntil = _time + fault.Lasting; break;
            case Trouble.Pause: member.PausedUntil = _time + fault.Lasting; break;
            case Trouble.CutOneWay: Cut(a, b, _time + fault.Lasting); break;
            case Trouble.Isolate: Isolate(a, fault); break;
            case Trouble.FloodAlone:
                if (member.Raft is not { Role: Role.Leader }) break;
                Isolate(a, fault);
                for (var i = 0; i < 3 + fault.B % 25; i++) Step(member, new Propose(0, SimulatedState.Command(0, 0, i)));   // sequence 0: changes nothing
                if (fault.B % 2 == 0) break;
                foreach (var voter in member.Raft.ActiveMembers.Voters)
                {
                    if (voter != member.Id && member.Raft.Role == Role.Leader) Step(member, new ChangeMembers(0, MemberChange.Remove, voter));
                }
                break;
            case Trouble.Split:
                for (var one = 0; one < _members.Count; one++)
                {
                    for (var other = 0; other < _members.Count; other++)
                    {
                        if (((one ^ fault.B) & 1) != ((other ^ fault.B) & 1)) Cut(one, other, _time + fault.Lasting);
                    }
                }
                break;
            case Trouble.Transfer: ToLeaders(new Transfer(_members[b].Id)); break;
            case Trouble.AddLearner:
                if (_members.Count >= MostMembers) break;
                AddMember(new MemberId((ulong)_members.Count + 1), Membership.None);
                Churn(new ChangeMembers(0, MemberChange.AddLearner, _members[^1].Id), promote: fault.B % 2 == 0);
                break;
            case Trouble.Promote: Churn(new ChangeMembers(0, MemberChange.Promote, _members[^1].Id), false); break;
            case Trouble.Remove: Churn(new ChangeMembers(0, MemberChange.Remove, member.Id), false); break;
            case Trouble.LoseSnapshot: member.Arriving.Clear(); Crash(member, 5); break;
        }
    }

    private void Isolate(int member, Fault fault)
    {
        for (var other = 0; other < _members.Count; other++)
        {
            Cut(member, other, _time + fault.Lasting);
            Cut(other, member, _time + fault.Lasting);
        }
    }

    private void ToLeaders(Input input)
    {
        foreach (var leader in _members)
        {
            if (leader.Raft is { Role: Role.Leader } && _time >= leader.PausedUntil) Step(leader, input);
        }
    }

    // Asked a few times: many a moment is too early.
    private void Churn(ChangeMembers change, bool promote)
    {
        for (var i = 0; i < 6; i++)
        {
            foreach (var member in _members) At(_time + 40 * i, new Event(What.Input, IndexOf(member.Id), member.Life, change));
            if (promote) foreach (var member in _members) At(_time + 100 + 60 * i, new Event(What.Input, IndexOf(member.Id), member.Life, change with { Change = MemberChange.Promote }));
        }
    }

    private void Heal()
    {
        Log("all is well again");
        _healed = true;
        _cuts.Clear();
        foreach (var member in _members)
        {
            member.FlushFails = false;
            member.PausedUntil = member.SlowDiskUntil = _time;
            if (member.Raft is null) Start(member);
        }
        for (var client = 0; client < SimulatedState.Clients; client++) _doneSinceHealed[client] = 0;
    }

    // Clients were served again, nothing is on its way, and all who belong to it have applied the same.
    private bool IsDone
    {
        get
        {
            if (!_healed || _doneSinceHealed.Any(done => done < 2) || LeaderNow?.Raft is not { } leader || leader.Commit != leader.Last.Index) return false;
            foreach (var id in leader.ActiveMembers.Everybody)
            {
                if (IndexOf(id) >= _members.Count) continue;   // never started
                var member = _members[IndexOf(id)];
                if (member.Raft is null || member.State.Applied != leader.Commit) return false;
            }
            return true;
        }
    }

    private void CheckEnd()
    {
        // Equal digests at the newest index, so equal histories; what was acknowledged stands in that history, and the sessions know it.
        var state = LeaderNow!.State;
        for (var client = 0; client < SimulatedState.Clients; client++)
        {
            if (state.SequenceOf(client) < _acknowledged[client]) throw new BrokenPromiseException($"write {_acknowledged[client]} of client {client} was acknowledged and is gone");
        }
        if (state.Applied < _invariants.NewestAnswered) throw new BrokenPromiseException($"{_invariants.NewestAnswered} was answered, and the log ends at {state.Applied}");
    }
}
