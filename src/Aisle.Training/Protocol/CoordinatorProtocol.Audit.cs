namespace Aisle.Training.Protocol;

/// <summary>
/// Slices that a second worker computes too. Every worker waits with an audited step until all agree on its slices, so a wrong one that is found has
/// changed no weights yet. What the wrong worker gave before, since it was last found right, is undone (<see cref="GoBack"/>).
/// </summary>
public sealed partial class CoordinatorProtocol
{
    private const int MostUndecided = 2;
    private readonly SortedSet<long> _proven = []; // the latest steps of which every slice was audited and right
    private readonly Dictionary<string, long> _clean = []; // worker → the first step whose slices of it are not known to be right
    private readonly Dictionary<(long Step, int Slice), Dictionary<string, UInt128>> _contested = []; // claims of steps that led to no verdict, in a run that is watched
    private StepAudit? _audit; // of the latest step that has one
    private long _watchedUpTo = -1; // every slice of the steps before is audited: somebody was wrong there, and nobody could tell who
    private int _undecided;

    /// <summary>What a worker got for an audited slice, its own or another's.</summary>
    public IReadOnlyList<CoordinatorEffect> SliceHashed(MemberId id, long life, long step, int slice, UInt128 hash, TimeSpan now)
    {
        if (_over || !_members.TryGetValue(id, out var member)) return [];
        HearFrom(member, now);
        if (member.Role == Role.Waiting || member.Life != life || _audit is not { } audit || audit.Step != step || audit.Find(slice) is not { } audited) return Take();
        audited.Add(new Claim(id, member.Member.Name, hash));
        if (audit.IsCleared) JudgeLate(audit, audited, now);
        else Advance(now);
        return Take();
    }

    /// <summary>A worker has found by itself that its memory is not what it was.</summary>
    public IReadOnlyList<CoordinatorEffect> SelfAccused(MemberId id, long life, long state, string what, TimeSpan now)
    {
        if (_over || !_members.TryGetValue(id, out var member) || member.Role == Role.Waiting || member.Life != life || !_running) return [];
        Quarantine([(member.Member.Name, member.Member)], what, state, null, _proven.Contains(state) ? state + 1 : state, now);
        return Take();
    }

    private double FractionOf(long step) => step < _watchedUpTo ? 1 : rules.AuditFraction;

    /// <summary>Draws the slices of a step that is about to be planned.</summary>
    private SliceSet BeginAudit(long step, IReadOnlyList<Unit> units)
    {
        var workers = units.Count;
        foreach (var unit in units) _clean.TryAdd(_members[unit.Member!.Value].Member.Name, step);
        var fraction = FractionOf(step);
        var count = AuditSchedule.PerWorker(Shape.Recipe, step, Shape.Slices, workers, fraction);
        // The last step is not made before everyone has shown that it still computes right.
        if (step == LastStep - 1 && fraction > 0 && workers > 1) count = Math.Max(count, 1);
        if (count == 0) return SliceSet.Empty;
        var audit = _audit = new StepAudit(step, isComplete: count >= Shape.Slices);
        foreach (var unit in units)
        {
            foreach (var slice in AuditSchedule.Of(Shape.Recipe, step, unit.Slices, count)) audit.Add(slice);
        }
        audit.Give(units);
        return audit.Set;
    }

    /// <summary>After the plan: tells each worker whose slices it computes once more, each the next one's.</summary>
    private void AskAuditors(StepPlan plan)
    {
        if (_audit is not { } audit || audit.Step != plan.Step) return;
        var workers = plan.Units.Select(unit => unit.Member!.Value).ToArray();
        var asked = new Dictionary<MemberId, List<int>>();
        for (var i = 0; i < workers.Length; i++)
        {
            var k = (int)(plan.Step % (workers.Length - 1));
            foreach (var audited in audit.Slices.Where(audited => audited.Given.Contains(workers[i])))
            {
                var auditor = workers[(i + 1 + k++ % (workers.Length - 1)) % workers.Length];
                audited.Asked.Add(auditor);
                if (!asked.TryGetValue(auditor, out var slices)) asked.Add(auditor, slices = []);
                slices.Add(audited.Slice);
            }
        }
        foreach (var (auditor, slices) in asked) _effects.Add(new CoordinatorEffect.SendAudit(auditor, plan.Step, SliceSet.Of(slices)));
    }

    /// <summary>Brings what is open between workers as far as it can be brought.</summary>
    /// <returns>False when nothing may be planned: it is open still, or the run has just begun again.</returns>
    private bool Settle(TimeSpan now)
    {
        if (_disputed is { } state)
        {
            DecideState(state, now);
            return false;
        }
        if (_audit is not { IsCleared: false } audit || !Hands.Any()) return true;
        if (Hands.Any(hand => hand.State > audit.Step))
        {
            // They brought along what the step leads to: the others' states will show whether theirs is the same.
            Clear(audit, isExamined: false);
            return true;
        }
        if (audit.IsComplete && audit.Slices.Any(slice => slice.Given.Any(id => !slice.HasClaimOf(id) && !IsHand(id))))
        {
            // It may have handed on what nobody can examine any more.
            Restart(isKept: true, now);
            return false;
        }
        var isSettled = true;
        foreach (var slice in audit.Slices)
        {
            if (slice.Guilty() is { Count: > 0 } guilty)
            {
                Convict(audit, slice, guilty, now);
                return false;
            }
            if (IsSettled(audit, slice)) continue;
            isSettled = false;
            if (IsAwaited(slice)) continue;
            if (ThirdFor(slice) is { } third)
            {
                Ask(audit, slice, third.Member.Id);
            }
            else if (slice.IsDisputed && !AskAgain(audit, slice))
            {
                LeaveUndecided(audit, slice, now);
                return false;
            }
        }
        if (isSettled) Clear(audit, isExamined: true);
        return true;
    }

    private bool IsSettled(StepAudit audit, AuditedSlice slice)
    {
        if (slice.IsDisputed) return false;
        if (audit.IsComplete && slice.Given.Any(id => IsHand(id) && !slice.HasClaimOf(id))) return false;
        return slice.Voices >= 2 || (slice.Voices == 1 && !IsAwaited(slice) && ThirdFor(slice) is null);
    }

    private bool IsAwaited(AuditedSlice slice) =>
        slice.Given.Concat(slice.Asked).Any(id => IsHand(id) && !slice.HasClaimOf(id)) || slice.AskedAgain.Any(id => IsHand(id) && slice.ClaimsOf(id) < 2);

    private Standing? ThirdFor(AuditedSlice slice) => Hands.FirstOrDefault(member => !slice.HasClaimOf(member.Member.Id) && !slice.Asked.Contains(member.Member.Id) && !slice.Given.Contains(member.Member.Id));

    private void Ask(StepAudit audit, AuditedSlice slice, MemberId auditor)
    {
        slice.Asked.Add(auditor);
        _effects.Add(new CoordinatorEffect.SendAudit(auditor, audit.Step, SliceSet.Of([slice.Slice])));
    }

    private bool AskAgain(StepAudit audit, AuditedSlice slice)
    {
        var asked = false;
        foreach (var id in slice.Claims.Select(claim => claim.By).Distinct().Where(IsHand).ToList())
        {
            if (!slice.AskedAgain.Add(id)) continue;
            Ask(audit, slice, id);
            asked = true;
        }
        return asked;
    }

    private void Clear(StepAudit audit, bool isExamined)
    {
        audit.IsCleared = true;
        if (isExamined && audit.IsComplete && audit.Slices.All(slice => slice.Voices > 1)) _proven.Add(audit.Step);
        while (_proven.Count > 4) _proven.Remove(_proven.Min);
        foreach (var claim in audit.Slices.SelectMany(slice => isExamined && slice.Voices > 1 ? slice.Claims : [])) _clean[claim.Name] = Math.Max(_clean.GetValueOrDefault(claim.Name), audit.Step + 1);
        if (_plans.TryGetValue(audit.Step, out var plan))
        {
            foreach (var receiver in plan.Receivers) _effects.Add(new CoordinatorEffect.SendCleared(receiver.Id, audit.Step));
        }
    }

    /// <summary>Said when the others had agreed and gone on: if it is another value, what was handed on with it may be in the sum.</summary>
    private void JudgeLate(StepAudit audit, AuditedSlice slice, TimeSpan now)
    {
        if (!slice.IsDisputed) return;
        if (slice.Guilty() is { Count: > 0 } guilty) Convict(audit, slice, guilty, now);
        else LeaveUndecided(audit, slice, now);
    }

    private void Convict(StepAudit audit, AuditedSlice slice, IReadOnlyList<Claim> guilty, TimeSpan now)
    {
        var backTo = guilty.Min(claim => Math.Min(audit.Step, _clean.GetValueOrDefault(claim.Name)));
        var wrong = guilty[0];
        var right = slice.Claims.FirstOrDefault(claim => !guilty.Any(other => other.By == claim.By), wrong);
        var why = slice.ClaimsOf(wrong.By) > 1 && slice.Claims.Where(claim => claim.By == wrong.By).Select(claim => claim.Hash).Distinct().Count() > 1
            ? $"its gradient of slice {slice.Slice} was not the same when it computed it again"
            : $"its gradient of slice {slice.Slice} is {Short(wrong.Hash)}, and {Short(right.Hash)} on {string.Join(" and ", slice.Claims.Where(claim => claim.Hash == right.Hash).Select(claim => claim.Name).Distinct())}";
        Quarantine([.. guilty.DistinctBy(claim => claim.Name).Select(claim => (claim.Name, _members.GetValueOrDefault(claim.By)?.Member))], why, audit.Step, slice.Slice, backTo, now);
    }

    private static string Short(UInt128 hash) => $"{(ulong)(hash >> 64):x16}"[..12];

    /// <summary>Nobody is left to ask, and each stands by what it said. The same slice comes again from older weights: whoever then says something else was wrong.</summary>
    private void LeaveUndecided(StepAudit audit, AuditedSlice slice, TimeSpan now)
    {
        var voices = slice.Claims.DistinctBy(claim => claim.Name).ToList();
        // Only where every step since what is stored was watched are its inputs known to be the same.
        if (IsWatchedSinceStored(audit.Step))
        {
            if (!_contested.TryGetValue((audit.Step, slice.Slice), out var before)) _contested.Add((audit.Step, slice.Slice), before = []);
            var changed = voices.Where(claim => before.TryGetValue(claim.Name, out var said) && said != claim.Hash).ToList();
            if (changed.Count > 0)
            {
                Convict(audit, slice, changed, now);
                return;
            }
            foreach (var claim in voices) before[claim.Name] = claim.Hash;
        }
        LeaveUndecided(
            audit.Step, voices.Min(claim => Math.Min(audit.Step, _clean.GetValueOrDefault(claim.Name))),
            $"Workers {string.Join(" and ", voices.Select(claim => claim.Name))} get different gradients for slice {slice.Slice} of step {audit.Step}", now);
    }

    private void LeaveUndecided(long step, long backTo, string what, TimeSpan now)
    {
        if (++_undecided > MostUndecided)
        {
            Fail(new AisleException("AISLE-5191", $"{what}, again and again, and there is no third to tell who is right.", "Add a worker on another machine and run the job again, or run `aisle doctor` on both and leave the faulty one out."));
            return;
        }
        _watchedUpTo = Math.Max(_watchedUpTo, step + 2);
        GoBack(backTo, mayKeep: false, now);
    }

    private bool IsWatchedSinceStored(long step) => rules.AuditFraction >= 1 || step < _watchedUpTo;

    /// <summary>What a worker on a new connection may have missed.</summary>
    private void AuditAnew(MemberId id)
    {
        foreach (var step in _plans.Keys)
        {
            var isOpen = _audit is { IsCleared: false } audit && audit.Step == step;
            if (!isOpen)
            {
                _effects.Add(new CoordinatorEffect.SendCleared(id, step));
                continue;
            }
            int[] asked = [.. _audit!.Slices.Where(slice => slice.Asked.Contains(id)).Select(slice => slice.Slice)];
            if (asked.Length > 0) _effects.Add(new CoordinatorEffect.SendAudit(id, step, SliceSet.Of(asked)));
        }
    }

    private Returning? Trusted(Returning? returning)
    {
        if (returning is null || returning.Generation < _generation) return null;
        if (!_running && returning.Generation > _generation)
        {
            // Of the coordinator before this one, which went back: what others bring along from before that is spoilt.
            _generation = returning.Generation;
            foreach (var member in _members.Values.Where(member => member.Kept?.Generation < _generation)) member.Kept = null;
        }
        return returning;
    }

    private bool IsHand(MemberId id) => _members.TryGetValue(id, out var member) && member.Role == Role.Active && !member.IsSuspect;
}
