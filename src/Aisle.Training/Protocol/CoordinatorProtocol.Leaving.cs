namespace Aisle.Training.Protocol;

/// <summary>Going without being missed: a worker that says so is given nothing more, and is let go when nobody can need anything of it.</summary>
public sealed partial class CoordinatorProtocol
{
    /// <summary>The worker wants to leave. The last one that has the state stays until another has it.</summary>
    public IReadOnlyList<CoordinatorEffect> Leaving(MemberId id, TimeSpan now)
    {
        if (_over || !_members.TryGetValue(id, out var member)) return [];
        HearFrom(member, now);
        member.IsLeaving = true;
        if (member.Role == Role.Active && _running) Advance(now);
        else if (member.Kept is null || _running) LetGo(member);
        return Take();
    }

    private void LetGo()
    {
        foreach (var member in Hands.Where(member => member.IsLeaving).ToList())
        {
            var others = Hands.Where(other => other != member && !other.IsLeaving).ToList();
            var isNeeded = others.Count == 0 || !others.All(other => other.State > member.LastDuty)
                || _plans.Values.Any(plan => plan.Learners.Any(learner => learner.Donor == member.Member.Id && _members.TryGetValue(learner.Member.Id, out var waiting) && waiting.State is null))
                || _saves.Values.Any(save => save.Order.Keepers.Contains(member.Member.Id));
            if (!isNeeded) LetGo(member);
        }
    }

    private void LetGo(Standing member)
    {
        _members.Remove(member.Member.Id);
        _effects.Add(new CoordinatorEffect.SendFinished(member.Member.Id));
        _effects.Add(new CoordinatorEffect.WentAway(member.Member));
        if (member.Role == Role.Learner) ReviseAll();
        else if (member.Role == Role.Active) SayView();
    }
}
