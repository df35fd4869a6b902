using System.Collections.Immutable;

namespace Aisle.Training.Protocol;

/// <summary>
/// How a run begins: at the seed, at what is stored, or at the highest state that its workers bring along. The same for a run's first start, for a
/// coordinator that starts with nothing in memory, for one whose workers are all gone, and for two halves of a run that find each other again.
/// </summary>
public sealed partial class CoordinatorProtocol
{
    private long _term = rules.Term;
    private long _lives;
    private TimeSpan? _gatheringSince;

    /// <summary>Stops planning and begins again with whoever is there and comes.</summary>
    private void Gather(TimeSpan now)
    {
        Disband();
        _gatheringSince = now;
        Advance(now);
    }

    private void Disband()
    {
        _running = false;
        _term++;
        _plans.Clear();
        _saves.Clear();
        _apart.Clear();
        _recovering = null;
        ForgetStep();
        foreach (var member in _members.Values.ToList())
        {
            if (!member.IsConnected) _members.Remove(member.Member.Id);
            if (member.State is { } state) member.Kept = new Returning(_term, member.Member.Id, member.Life, Peers: 1, PlannedUpTo: -1, state, member.Report) { Generation = _generation };
            member.Role = Role.Waiting;
            (member.State, member.FirstState, member.LastDuty) = (null, null, -1);
        }
    }

    /// <summary>A state ahead of the run's is worth more than the run's: it is taken up, and nothing that was computed is computed again.</summary>
    private void GatherIfAhead(Standing member, TimeSpan now)
    {
        if (_running && member.Kept?.State > _reached) Gather(now);
    }

    private void BeginWhenReady(TimeSpan now)
    {
        var present = _members.Values.Where(member => !member.IsSuspect).ToList();
        var returned = present.Where(member => member.Kept is not null).ToList();
        if (present.Count == 0) return;
        if (returned.Count > 0) _gatheringSince ??= now;
        var hasWaited = _gatheringSince is not { } since || now - since >= rules.ReunionWithin;
        // They go on by themselves with the last step that all of them have a plan for: when that is made, nothing is lost by beginning anew.
        var isComplete = returned.Count > 0 && present.Count >= rules.MinimumWorkers && returned.Count >= returned.Max(member => member.Kept!.Peers)
            && returned.All(member => member.Kept!.State > returned.Min(other => other.Kept!.PlannedUpTo));
        var isEnough = returned.Count > 0 || present.Count >= (_epoch > 0 ? 1 : Math.Max(1, rules.MinimumWorkers));
        if (isComplete || (hasWaited && isEnough)) Begin(present, now);
    }

    private void Begin(List<Standing> present, TimeSpan now)
    {
        var stored = _newest?.Step ?? 0;
        var highest = present.Max(member => member.Kept?.State);
        var step = highest >= stored ? highest.Value : stored;
        if (_reached > step) _effects.Add(new CoordinatorEffect.RolledBack(_reached, step));
        _reached = Math.Min(_reached, step);
        _running = true;
        _gatheringSince = null;
        if (present.Find(member => member.Kept?.State == step)?.Kept is { } kept)
        {
            _effects.Add(new CoordinatorEffect.Reunited(step, present.Count(member => member.Kept?.State == step)));
            Commit(step, kept.Report, present.Count, now); // the coordinator before this one may not have lived to say it
        }
        foreach (var member in present)
        {
            var source = member.Kept?.State == step ? StateSource.Own
                : step > stored ? StateSource.Peer
                : _newest is null ? StateSource.Initial : StateSource.Checkpoint;
            SendBegin(member, source, step, now);
            if (member.Role == Role.Active) _effects.Add(new CoordinatorEffect.Joined(member.Member));
        }
        Issue(step, step - 1, now);
    }

    private void SendBegin(Standing member, StateSource source, long step, TimeSpan now)
    {
        var before = member.Member.Id;
        if (member.Life != 0)
        {
            // Another life, another member: what its peers sent to the one before is not taken for this one's.
            _members.Remove(before);
            member.Member = member.Member with { Id = new MemberId(_nextMember++) };
            _members.Add(member.Member.Id, member);
        }
        member.Role = source == StateSource.Peer ? Role.Learner : Role.Active;
        member.Source = source;
        if (source != StateSource.Own) member.IsVouched = source != StateSource.Peer;
        member.Life = rules.Term + ++_lives;
        (member.Followed, member.LearnedAt, member.IsLearning) = (step, now, false);
        (member.Kept, member.State, member.FirstState) = (null, null, null);
        _effects.Add(new CoordinatorEffect.SendBegin(before, new BeginOrder(_term, member.Member.Id, member.Life, source, step, source == StateSource.Checkpoint ? _newest?.Digest : null) { Generation = _generation, ShutOut = [.. _shutOut.Values] }));
    }
}

/// <summary>How a worker begins. It forgets what it knew of plans, and keeps its weights or gets others.</summary>
/// <param name="Term">It takes part in what others do who begin in the same term, and in nothing else.</param>
/// <param name="Member">Who it is from here on.</param>
/// <param name="Life">Its answers carry it, so that what it said before is not mistaken for one.</param>
public sealed record BeginOrder(long Term, MemberId Member, long Life, StateSource Source, long Step, Aisle.Artifacts.Digest? Checkpoint)
{
    /// <summary>Grows whenever the run goes back because a worker was wrong: states of an older one are not taken up again.</summary>
    public long Generation { get; init; }

    /// <summary>Who computes wrongly, as far as the coordinator knows.</summary>
    public ImmutableArray<ShutOut> ShutOut { get; init; } = [];
}
