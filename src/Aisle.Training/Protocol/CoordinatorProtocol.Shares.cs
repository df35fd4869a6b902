using System.Collections.Immutable;

namespace Aisle.Training.Protocol;

/// <summary>
/// Shares follow speed, and a straggler's slices are computed by idle members too. Neither can change a bit: any slice may be computed by anyone, and
/// whichever result comes first counts.
/// </summary>
public sealed partial class CoordinatorProtocol
{
    private const double NewestWeighs = 0.3;
    private const double LateAfter = 1.5; // times the predicted end
    private readonly HashSet<int> _done = []; // units of the latest step
    private readonly HashSet<int> _late = [];
    private TimeSpan _issuedAt;

    /// <summary>What a worker's last step took it to compute. Said before the state it led to.</summary>
    public void Timed(MemberId id, int slices, TimeSpan computing)
    {
        if (slices <= 0 || computing <= TimeSpan.Zero || !_members.TryGetValue(id, out var member)) return;
        var newest = computing.TotalSeconds / slices;
        member.SecondsPerSlice = member.SecondsPerSlice > 0 ? member.SecondsPerSlice + NewestWeighs * (newest - member.SecondsPerSlice) : newest;
    }

    /// <summary>The worker has computed the whole unit.</summary>
    public IReadOnlyList<CoordinatorEffect> UnitComputed(MemberId id, long life, int unit, TimeSpan now)
    {
        if (_over || !_members.TryGetValue(id, out var member)) return [];
        HearFrom(member, now);
        if (member.Life == life && _running && _plans.Values.Last().Units.Any(known => known.Id == unit)) _done.Add(unit);
        return Take();
    }

    /// <summary>The step's slices in runs: see <see cref="SliceShares"/>.</summary>
    private IEnumerable<Unit> Share(ImmutableArray<Standing> hands)
    {
        var shares = SliceShares.Cut(Shape.Slices, [.. hands.Select(hand => hand.SecondsPerSlice)]);
        var from = 0;
        for (var i = 0; i < hands.Length; i++)
        {
            if (shares[i] == 0) continue;
            yield return new Unit(_nextUnit++, SliceSet.Range(from, from + shares[i]), hands[i].Member.Id);
            from += shares[i];
        }
    }

    /// <summary>Gives idle members the slices of those who are late.</summary>
    private void Hedge(TimeSpan now)
    {
        if (!_running || !_plans.Values.Last().Units.Any()) return;
        var plan = _plans.Values.Last();
        var idle = Idle(plan);
        if (idle.IsEmpty) return;
        var hedged = 0;
        foreach (var unit in plan.Units)
        {
            if (unit.Member is not { } id || _done.Contains(unit.Id) || HasParts(plan.Units, unit) || !_members.TryGetValue(id, out var member) || member.IsSuspect) continue;
            var predicted = unit.Slices.Count * member.SecondsPerSlice;
            if (predicted > 0 && (now - _issuedAt).TotalSeconds > LateAfter * predicted + 2 * rules.TickEvery.TotalSeconds && _late.Add(unit.Id)) hedged += unit.Slices.Count;
        }
        if (hedged == 0 || Revise(plan, now) == 0) return;
        _effects.Add(new CoordinatorEffect.Hedged(plan.Step, hedged));
    }

    private ImmutableArray<Standing> Idle(StepPlan plan) =>
        [.. Takers.Where(member => member.State == plan.Step && plan.Units.All(unit => unit.Member != member.Member.Id || _done.Contains(unit.Id)))];

    private static bool HasParts(IEnumerable<Unit> units, Unit whole) => units.Any(other => other.Id > whole.Id && other.Slices.IsWithin(whole.Slices));
}
