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
        else if (member.Kept is null || _running) LetGo(member, now);
        return Take();
    }

    private void LetGo(TimeSpan now)
    {
        foreach (var member in Hands.Where(member => member.IsLeaving).ToList())
        {
            var others = Hands.Where(other => other != member && !other.IsLeaving).ToList();
            var isNeeded = others.Count == 0 || !others.All(other => other.State > member.LastDuty) || Learners.Any(learner => learner.Lacks <= member.LastDuty)
                || _saves.Values.Any(save => save.Order.Keepers.Contains(member.Member.Id));
            if (!isNeeded) LetGo(member, now);
        }
    }

    private void LetGo(Standing member, TimeSpan now)
    {
        _members.Remove(member.Member.Id);
        _effects.Add(new CoordinatorEffect.SendFinished(member.Member.Id));
        _effects.Add(new CoordinatorEffect.WentAway(member.Member));
        if (member.Role == Role.Learner) ReviseAll(now);
        else if (member.Role == Role.Active) SayView();
    }
}
