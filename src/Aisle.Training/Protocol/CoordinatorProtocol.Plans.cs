using System.Collections.Immutable;

namespace Aisle.Training.Protocol;

/// <summary>Who does what in a step, and who takes over.</summary>
public sealed partial class CoordinatorProtocol
{
    /// <summary>Plans the next step when it may begin.</summary>
    private void Advance(TimeSpan now)
    {
        if (_over) return;
        if (!_running)
        {
            BeginWhenReady(now);
            return;
        }
        LetGo(now);
        if (!Settle(now)) return;
        var latest = _plans.Keys.Last();
        if (latest >= LastStep)
        {
            CompleteWhenStored();
            return;
        }
        // Somebody is done, and nobody is more than one step behind: what a laggard may still need is only what is kept for one step.
        if (!Hands.Any(member => member.State > latest) || !Hands.All(member => member.State >= latest)) return;
        if (!Learners.All(learner => learner.IsSuspect || Keeps(learner, latest)))
        {
            _heldUpSince ??= now;
            return;
        }
        // A stored state is copied aside by its keepers; the next one waits until the last is safe, so that copies cannot pile up.
        if (_saves.Count > 0 && IsStored(latest + 1)) return;

        foreach (var suspect in _members.Values.Where(member => member.IsSuspect && member.Role != Role.Waiting).ToList())
        {
            if (!suspect.IsConnected) _members.Remove(suspect.Member.Id);
            else if (suspect.Role == Role.Learner || suspect.State is null || suspect.State < latest) Demote(suspect, "it said nothing while the others went on", now);
        }
        foreach (var learner in Learners.Where(learner => learner.State is not null).ToList()) Promote(learner);
        var oldest = Learners.Select(learner => learner.Lacks).Append(latest).Min();
        foreach (var old in _plans.Keys.Where(step => step < oldest).ToList()) _plans.Remove(old);
        foreach (var waiting in _members.Values.Where(member => member.Role == Role.Waiting && !member.IsSuspect && !IsApart(member) && member.NotBefore <= now).ToList())
        {
            SendBegin(waiting, StateSource.Peer, latest + 1, now);
        }
        Issue(latest + 1, oldest, now);
    }

    private void Issue(long step, long oldest, TimeSpan now)
    {
        _done.Clear();
        _late.Clear();
        (_issuedAt, _heldUpSince) = (now, null);
        var hands = Takers.ToImmutableArray();
        OrderSave(step);
        var isLast = step == LastStep;
        Unit[] units = isLast ? [] : [.. Share(hands)];
        var plan = new StepPlan
        {
            Epoch = ++_epoch,
            Step = step,
            Oldest = oldest,
            Members = [.. Active.Select(member => member.Member)],
            Learners = [.. Learners.Select((learner, i) => new Learner(learner.Member, DonorsFor(i)))],
            Units = [.. units],
            Audited = BeginAudit(step, units),
            ShardOwners = [.. Enumerable.Range(0, Shape.Shards).Select(shard => hands[shard % hands.Length].Member.Id)],
        };
        foreach (var hand in hands) hand.LastDuty = step;
        _plans.Add(step, plan);
        Send(plan);
        AskAuditors(plan);
        SayView();
    }

    /// <summary>Who may be given something new to do.</summary>
    private IEnumerable<Standing> Takers
    {
        get
        {
            if (Hands.Any(member => !member.IsLeaving)) return Hands.Where(member => !member.IsLeaving);
            return Hands.Any() ? Hands : Active; // a run that begins may have nobody yet who has spoken since
        }
    }

    private void Promote(Standing learner)
    {
        learner.Role = Role.Active;
        _effects.Add(new CoordinatorEffect.Joined(learner.Member));
    }

    private IEnumerable<Unit> Assign(SliceSet slices, ImmutableArray<Standing> hands)
    {
        var i = 0;
        foreach (var part in slices.Split(hands.Length)) yield return new Unit(_nextUnit++, part, hands[i++].Member.Id);
    }

    private void Send(StepPlan plan)
    {
        foreach (var receiver in plan.Receivers) _effects.Add(new CoordinatorEffect.SendPlan(receiver.Id, plan));
    }

    private void SayView() => _effects.Add(new CoordinatorEffect.Viewed(_epoch, [.. Hands.Select(member => member.Member)]));

    /// <returns>How many slices are to be computed that others had been given.</returns>
    private int ReviseAll(TimeSpan now) => _plans.Values.ToList().Sum(plan => Revise(plan, now));

    /// <summary>Gives others, too, the share of those who cannot be counted on.</summary>
    private int Revise(StepPlan old, TimeSpan now)
    {
        var isLatest = old.Step == _plans.Keys.Last();
        if (!Hands.Any() || (Hands.All(member => member.State > old.Step) && !Learners.Any(learner => isLatest || learner.Lacks <= old.Step))) return 0;

        bool CanCompute(MemberId id) => IsHand(id) && _members[id] is var member && (member.FirstState is null || member.FirstState <= old.Step);
        // A member that received a later state has the result of this step, but not the reduced shards that led there.
        Standing[] finishers = [.. Hands.Where(member => member.State > old.Step && member.FirstState <= old.Step)];
        ImmutableArray<Standing> computing = [.. Takers.Where(member => member.State is null || member.State <= old.Step)];
        if (computing.IsEmpty) computing = [.. Hands.Where(member => member.State is null || member.State <= old.Step)];
        if (finishers.Length == 0 && computing.IsEmpty)
        {
            // Whoever held the step's gradients is gone, and nobody but a learner needs them: it begins anew, with a newer state.
            foreach (var learner in Learners.Where(learner => learner.Lacks <= old.Step).ToList()) Demote(learner, "what it lacked of the run's steps is gone with another worker", now);
            return 0;
        }
        Standing[] heirs = finishers.Length > 0 ? finishers : [.. Takers];
        var heir = 0;
        var owners = ImmutableArray.CreateBuilder<MemberId>();
        foreach (var owner in old.ShardOwners)
        {
            if (IsHand(owner))
            {
                owners.Add(owner);
                continue;
            }
            var next = heirs[heir++ % heirs.Length];
            next.LastDuty = Math.Max(next.LastDuty, old.Step);
            owners.Add(next.Member.Id);
        }

        // Whoever has finished the step holds every reduced shard and hands it on; only when nobody has is anything computed again.
        var recomputed = 0;
        var idle = isLatest ? Idle(old) : [];
        var units = ImmutableArray.CreateBuilder<Unit>();
        units.AddRange(old.Units.Select(unit => unit.Member is { } id && _members.ContainsKey(id) ? unit : unit with { Member = null }));
        if (finishers.Length == 0 && !computing.IsEmpty)
        {
            for (var i = 0; i < units.Count; i++)
            {
                var unit = units[i];
                var isLate = _late.Contains(unit.Id);
                if ((unit.Member is { } id && CanCompute(id) && !isLate) || HasParts(units, unit)) continue;
                recomputed += unit.Slices.Count;
                units.AddRange(Assign(unit.Slices, Rotated(isLate && idle.Length > 0 ? idle : computing, i)));
            }
            foreach (var hand in computing) hand.LastDuty = Math.Max(hand.LastDuty, old.Step);
        }
        var plan = old with
        {
            Epoch = ++_epoch,
            Members = [.. Active.Select(member => member.Member)],
            Learners = isLatest
                ? [.. Learners.Select((learner, i) => new Learner(learner.Member, DonorsFor(i)))]
                : [.. old.Learners.Where(learner => IsLacking(learner.Member.Id, old.Step))],
            Units = units.ToImmutable(),
            ShardOwners = owners.ToImmutable(),
        };
        _plans[old.Step] = plan;
        if (_audit?.Step == old.Step) _audit.Give(plan.Units);
        Send(plan);
        SayView();
        return recomputed;
    }

    private static ImmutableArray<Standing> Rotated(ImmutableArray<Standing> members, int by) =>
        [.. members.Skip(by % members.Length), .. members.Take(by % members.Length)];
}
