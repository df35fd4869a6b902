using System.Collections.Immutable;

namespace Aisle.Training.Protocol;

public sealed partial class CoordinatorProtocol
{
    /// <summary>Plans the next step when it may begin.</summary>
    private void Advance(TimeSpan now)
    {
        if (_over) return;
        if (!_running)
        {
            if (_members.Count >= (_epoch > 0 ? 1 : Math.Max(1, rules.MinimumWorkers))) Begin(now);
            return;
        }
        var latest = _plans.Keys.Last();
        if (latest >= LastStep)
        {
            CompleteWhenStored();
            return;
        }
        // Somebody is done, and nobody is more than one step behind: what a laggard may still need is only what is kept for one step.
        if (!Active.Any(member => member.State > latest) || !Active.Concat(Learners).All(member => member.State >= latest)) return;
        // A stored state is copied aside by its keepers; the next one waits until the last is safe, so that copies cannot pile up.
        if (_saves.Count > 0 && IsStored(latest + 1)) return;

        foreach (var old in _plans.Keys.Where(step => step < latest).ToList()) _plans.Remove(old);
        foreach (var learner in Learners.ToList()) Promote(learner);
        foreach (var waiting in _members.Values.Where(member => member.Role == Role.Waiting).ToList())
        {
            waiting.Role = Role.Learner;
            waiting.BegunAt = now;
            _effects.Add(new CoordinatorEffect.SendBegin(waiting.Member.Id, StateSource.Peer, latest + 1, null));
        }
        Issue(latest + 1);
    }

    /// <summary>The first step of a run: everyone present makes or loads the same state by itself.</summary>
    private void Begin(TimeSpan now)
    {
        _running = true;
        var step = _newest?.Step ?? 0;
        foreach (var member in _members.Values)
        {
            member.Role = Role.Active;
            member.BegunAt = now;
            (member.State, member.FirstState) = (null, null);
            _effects.Add(new CoordinatorEffect.SendBegin(member.Member.Id, _newest is null ? StateSource.Initial : StateSource.Checkpoint, step, _newest?.Digest));
            _effects.Add(new CoordinatorEffect.Joined(member.Member));
        }
        Issue(step);
    }

    private void Issue(long step)
    {
        ImmutableArray<Member> members = [.. Active.Select(member => member.Member)];
        var donors = Active.OrderByDescending(member => member.State).Select(member => member.Member.Id).ToArray();
        var isLast = step == LastStep;
        OrderSave(step);
        var plan = new StepPlan
        {
            Epoch = ++_epoch,
            Step = step,
            Members = members,
            Learners = [.. Learners.Select((learner, i) => new Learner(learner.Member, donors[i % donors.Length]))],
            Units = isLast ? [] : [.. Assign(SliceSet.Range(0, Shape.Slices), members)],
            ShardOwners = [.. Enumerable.Range(0, Shape.Shards).Select(shard => members[shard % members.Length].Id)],
        };
        _plans.Add(step, plan);
        Send(plan);
        _effects.Add(new CoordinatorEffect.Viewed(_epoch, members));
    }

    private void Promote(Standing learner)
    {
        learner.Role = Role.Active;
        _effects.Add(new CoordinatorEffect.Joined(learner.Member));
    }

    private IEnumerable<Unit> Assign(SliceSet slices, ImmutableArray<Member> members)
    {
        var i = 0;
        foreach (var part in slices.Split(members.Length)) yield return new Unit(_nextUnit++, part, members[i++].Id);
    }

    private void Send(StepPlan plan)
    {
        foreach (var receiver in plan.Receivers) _effects.Add(new CoordinatorEffect.SendPlan(receiver.Id, plan));
    }

    private void Remove(MemberId id, string reason, TimeSpan now)
    {
        if (!_members.Remove(id, out var lost) || _over) return;
        _effects.Add(new CoordinatorEffect.Left(lost.Member, reason, now));
        if (!_running || lost.Role == Role.Waiting) return;

        if (!Active.Any())
        {
            // A learner that has the state is as good as anyone.
            foreach (var learner in Learners.Where(learner => learner.State is not null).ToList()) Promote(learner);
        }
        if (!Active.Any())
        {
            StartOver(now);
            return;
        }
        var recomputed = 0;
        foreach (var plan in _plans.Values.ToList()) recomputed += Revise(plan);
        if (lost.Role == Role.Active) _recovering = (_recovering?.Since ?? now, (_recovering?.Slices ?? 0) + recomputed);
        ReassignSaves();
        Advance(now);
    }

    /// <summary>Nobody is left who holds the state: whoever comes begins from the newest stored one, and reaches the same bits again.</summary>
    private void StartOver(TimeSpan now)
    {
        var step = _newest?.Step ?? 0;
        if (_reached > step) _effects.Add(new CoordinatorEffect.RolledBack(_reached, step));
        _reached = step;
        _running = false;
        _plans.Clear();
        _saves.Clear();
        _recovering = null;
        foreach (var member in _members.Values) member.Role = Role.Waiting;
        Advance(now);
    }

    /// <summary>Gives the dead members' share of a step to the others.</summary>
    /// <returns>How many slices are to be computed again.</returns>
    private int Revise(StepPlan old)
    {
        var active = Active.ToList();
        ImmutableArray<Member> members = [.. active.Select(member => member.Member)];
        var isLatest = old.Step == _plans.Keys.Last();
        var everyoneIsDone = active.All(member => member.State > old.Step) && !(isLatest && Learners.Any());
        if (everyoneIsDone) return 0;

        // A member that received a later state has the result of this step, but not the reduced shards that led there.
        var finishers = active.Where(member => member.State > old.Step && member.FirstState <= old.Step).Select(member => member.Member.Id).ToArray();
        ImmutableArray<Member> computing = [.. active.Where(member => member.State is null || member.State <= old.Step).Select(member => member.Member)];
        bool IsAlive(MemberId id) => _members.TryGetValue(id, out var member) && member.Role == Role.Active;
        var heirs = finishers.Length > 0 ? finishers : [.. members.Select(member => member.Id)];
        var heir = 0;
        ImmutableArray<MemberId> owners = [.. old.ShardOwners.Select(owner => IsAlive(owner) ? owner : heirs[heir++ % heirs.Length])];

        // Whoever has finished the step holds every reduced shard and hands it on; only when nobody has is anything computed again.
        var recomputed = 0;
        var units = ImmutableArray.CreateBuilder<Unit>();
        foreach (var unit in old.Units)
        {
            if (unit.Member is { } member && IsAlive(member))
            {
                units.Add(unit);
            }
            else if (finishers.Length > 0 || computing.IsEmpty)
            {
                units.Add(unit with { Member = null });
            }
            else
            {
                recomputed += unit.Slices.Count;
                units.AddRange(Assign(unit.Slices, Rotated(computing, units.Count)));
            }
        }
        var donors = active.OrderByDescending(member => member.State).Select(member => member.Member.Id).ToArray();
        var plan = old with
        {
            Epoch = ++_epoch,
            Members = members,
            Learners = isLatest
                ? [.. Learners.Select((learner, i) => new Learner(learner.Member, old.Learners.FirstOrDefault(known => known.Member.Id == learner.Member.Id)?.Donor is { } donor && IsAlive(donor) ? donor : donors[i % donors.Length]))]
                : [],
            Units = units.ToImmutable(),
            ShardOwners = owners,
        };
        _plans[old.Step] = plan;
        Send(plan);
        _effects.Add(new CoordinatorEffect.Viewed(_epoch, members));
        return recomputed;
    }

    private static ImmutableArray<Member> Rotated(ImmutableArray<Member> members, int by) =>
        [.. members.Skip(by % members.Length), .. members.Take(by % members.Length)];
}
