namespace Aisle.Training.Protocol;

/// <summary>
/// Who can be counted on. Suspicion is cheap and revocable: others are given the suspect's work as well, and whichever result comes first counts.
/// Only when the run has moved on by more than a step does a suspect lose its place; it then learns the state like a newcomer.
/// </summary>
public sealed partial class CoordinatorProtocol
{
    private static readonly TimeSpan s_apartFor = TimeSpan.FromSeconds(30);
    private readonly Dictionary<(MemberId, MemberId), TimeSpan> _apart = []; // pairs that cannot reach each other, and until when that is believed
    private TimeSpan? _tickedAt;

    /// <summary>The worker's connection is gone. It may come back on another.</summary>
    public IReadOnlyList<CoordinatorEffect> Lost(MemberId id, string reason, TimeSpan now)
    {
        if (_over || !_members.TryGetValue(id, out var lost)) return [];
        if (lost.Role != Role.Active)
        {
            Depart(lost, reason, now);
        }
        else if (lost.IsConnected)
        {
            lost.IsConnected = false;
            _effects.Add(new CoordinatorEffect.Left(lost.Member, reason, now));
            GoOnWithout(now);
        }
        return Take();
    }

    /// <summary>A worker has tried for a while and cannot reach a peer whose connection to the coordinator stands: one of the two has to go.</summary>
    public IReadOnlyList<CoordinatorEffect> Unreachable(MemberId by, long life, MemberId peer, TimeSpan now)
    {
        if (_over || !_members.TryGetValue(by, out var accuser) || accuser.Life != life || !_members.TryGetValue(peer, out var accused)) return [];
        HearFrom(accuser, now);
        if (accuser.Role == Role.Waiting || accused.Role == Role.Waiting || accused.IsSuspect) return Take();
        _apart[by < peer ? (by, peer) : (peer, by)] = now + s_apartFor;
        // Whoever is apart from more of the others is the one with the broken link.
        var goes = accuser.Role == Role.Learner || Partners(by) > Partners(peer) ? accuser : accused;
        Demote(goes, goes == accused ? $"{accuser.Member.Name} cannot reach it" : $"it cannot reach {accused.Member.Name}", now);
        GoOnWithout(now);
        return Take();

        int Partners(MemberId id) => _apart.Keys.Count(pair => pair.Item1 == id || pair.Item2 == id);
    }

    public IReadOnlyList<CoordinatorEffect> Ticked(TimeSpan now)
    {
        if (_over) return [];
        // When this process itself was held up, nobody else's silence counts for that time.
        if (_tickedAt is { } before && now - before > 2 * rules.TickEvery)
        {
            foreach (var member in _members.Values) member.LastHeard += now - before - rules.TickEvery;
        }
        _tickedAt = now;
        foreach (var pair in _apart.Where(pair => pair.Value <= now).Select(pair => pair.Key).ToList()) _apart.Remove(pair);
        foreach (var member in _members.Values.Where(member => member.IsConnected).ToList())
        {
            var silence = now - member.LastHeard;
            if (silence > rules.GiveUpAfter) HangUp(member, $"it said nothing for {silence.TotalSeconds:0.0} s", now);
            else if (member.Role == Role.Learner && member.State is null && now - member.LearnedAt > rules.LearnWithin) HangUp(member, $"it received nothing of the state for {rules.LearnWithin.TotalSeconds:0} s", now);
            else if (!member.IsSilent && silence > rules.SuspectAfter) Suspect(member, silence, now);
        }
        GiveUpOnLearners(now);
        Hedge(now);
        Advance(now);
        return Take();
    }

    private void Suspect(Standing member, TimeSpan silence, TimeSpan now)
    {
        member.IsSilent = true;
        _effects.Add(new CoordinatorEffect.Suspected(member.Member, silence, now));
        if (member.Role != Role.Waiting) GoOnWithout(now);
    }

    private void HearFrom(Standing member, TimeSpan now)
    {
        member.LastHeard = now;
        if (!member.IsSilent) return;
        member.IsSilent = false;
        if (member.Role == Role.Waiting)
        {
            Advance(now);
            return;
        }
        _effects.Add(new CoordinatorEffect.Returned(member.Member));
        ReviseAll(now); // what it still lacks, somebody is to send
        Advance(now);
    }

    /// <summary>The same worker in the same life, on another connection: whatever was on its way on the old one is said again.</summary>
    private void TakeBack(Standing member, Returning returning, TimeSpan now)
    {
        (member.IsConnected, member.IsSilent, member.LastHeard) = (true, false, now);
        _effects.Add(new CoordinatorEffect.Returned(member.Member));
        foreach (var save in _saves.Values.Where(save => save.Order.Keepers.Contains(member.Member.Id))) _effects.Add(new CoordinatorEffect.SendSaveOrder(member.Member.Id, save.Order));
        foreach (var plan in _plans.Values) _effects.Add(new CoordinatorEffect.SendPlan(member.Member.Id, plan));
        AuditAnew(member.Member.Id);
        Note(member, returning.State, returning.Report, now);
        if (_over) return;
        ReviseAll(now);
        Advance(now);
    }

    /// <summary>Out of the plans, but not out of the job: it may learn the state anew.</summary>
    private void Demote(Standing member, string reason, TimeSpan now)
    {
        member.Role = Role.Waiting;
        (member.State, member.FirstState) = (null, null);
        _effects.Add(new CoordinatorEffect.Left(member.Member, reason, now));
    }

    private void HangUp(Standing member, string reason, TimeSpan now)
    {
        _effects.Add(new CoordinatorEffect.HangUp(member.Member.Id));
        Depart(member, reason, now);
    }

    private void Depart(Standing member, string reason, TimeSpan now)
    {
        if (!_members.Remove(member.Member.Id)) return;
        if (member.IsConnected) _effects.Add(new CoordinatorEffect.Left(member.Member, reason, now));
        if (member.Role != Role.Waiting) GoOnWithout(now);
        else Advance(now);
    }

    /// <summary>Somebody with a part in the run can no longer be counted on: the others take over.</summary>
    private void GoOnWithout(TimeSpan now)
    {
        if (!_running) return;
        if (!Active.Any(member => member.IsConnected))
        {
            // A learner that has the state is as good as anyone.
            foreach (var learner in Learners.Where(learner => learner.State is not null).ToList()) Promote(learner);
        }
        if (!Active.Any(member => member.IsConnected))
        {
            Gather(now);
            return;
        }
        _recovering = (_recovering?.Since ?? now, (_recovering?.Slices ?? 0) + ReviseAll(now));
        ReassignSaves();
        Advance(now);
    }

    private bool IsApart(Standing member) => _apart.Keys.Any(pair =>
        (pair.Item1 == member.Member.Id && IsIn(pair.Item2)) || (pair.Item2 == member.Member.Id && IsIn(pair.Item1)));

    private bool IsIn(MemberId id) => _members.TryGetValue(id, out var member) && member.Role != Role.Waiting;
}
