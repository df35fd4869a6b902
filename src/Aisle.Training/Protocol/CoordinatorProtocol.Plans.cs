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
        LetGo();
        if (!Settle(now)) return;
        var latest = _plans.Keys.Last();
        if (latest >= LastStep)
        {
            CompleteWhenStored();
            return;
        }
        // Somebody is done, and nobody is more than one step behind: what a laggard may still need is only what is kept for one step.
        if (!Hands.Any(member => member.State > latest) || !Hands.Concat(Learners.Where(learner => !learner.IsSuspect)).All(member => member.State >= latest)) return;
        // A stored state is copied aside by its keepers; the next one waits until the last is safe, so that copies cannot pile up.
        if (_saves.Count > 0 && IsStored(latest + 1)) return;

        foreach (var old in _plans.Keys.Where(step => step < latest).ToList()) _plans.Remove(old);
        foreach (var suspect in _members.Values.Where(member => member.IsSuspect && member.Role != Role.Waiting).ToList())
        {
            if (!suspect.IsConnected) _members.Remove(suspect.Member.Id);
            else if (suspect.Role == Role.Learner || suspect.State is null || suspect.State < latest) Demote(suspect, "it said nothing while the others went on", now);
        }
        foreach (var learner in Learners.ToList()) Promote(learner);
        foreach (var waiting in _members.Values.Where(member => member.Role == Role.Waiting && !member.IsSuspect && !IsApart(member)).ToList())
        {
            SendBegin(waiting, StateSource.Peer, latest + 1, now);
        }
        Issue(latest + 1, now);
    }

    private void Issue(long step, TimeSpan now)
    {
        _done.Clear();
        _late.Clear();
        _issuedAt = now;
        var hands = Takers.ToImmutableArray();
        OrderSave(step);
        var isLast = step == LastStep;
        Unit[] units = isLast ? [] : [.. Share(hands)];
        var plan = new StepPlan
        {
            Epoch = ++_epoch,
            Step = step,
            Members = [.. Active.Select(member => member.Member)],
            Learners = [.. Learners.Select((learner, i) => new Learner(learner.Member, DonorFor(i)))],
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

    private MemberId DonorFor(int learner)
    {
        var donors = Takers.OrderByDescending(member => member.State).ToArray();
        return donors[learner % donors.Length].Member.Id;
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
    private int ReviseAll() => _plans.Values.ToList().Sum(Revise);

    /// <summary>Gives others, too, the share of those who cannot be counted on.</summary>
    private int Revise(StepPlan old)
    {
        var isLatest = old.Step == _plans.Keys.Last();
        if (!Hands.Any() || (Hands.All(member => member.State > old.Step) && !(isLatest && Learners.Any()))) return 0;

        bool CanCompute(MemberId id) => IsHand(id) && _members[id] is var member && (member.FirstState is null || member.FirstState <= old.Step);
        // A member that received a later state has the result of this step, but not the reduced shards that led there.
        Standing[] finishers = [.. Hands.Where(member => member.State > old.Step && member.FirstState <= old.Step)];
        ImmutableArray<Standing> computing = [.. Takers.Where(member => member.State is null || member.State <= old.Step)];
        if (computing.IsEmpty) computing = [.. Hands.Where(member => member.State is null || member.State <= old.Step)];
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
                ? [.. Learners.Select((learner, i) => new Learner(learner.Member, old.Learners.FirstOrDefault(known => known.Member.Id == learner.Member.Id)?.Donor is { } donor && IsHand(donor) ? donor : DonorFor(i)))]
                : [],
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
