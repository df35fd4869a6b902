using System.Collections.Immutable;

namespace Aisle.Training.Protocol;

/// <summary>Who computes wrongly is out for good, and every worker knows it: the next coordinator hears it from them.</summary>
public sealed partial class CoordinatorProtocol
{
    private ImmutableSortedDictionary<string, ShutOut> _shutOut = ImmutableSortedDictionary.Create<string, ShutOut>(StringComparer.Ordinal);

    /// <summary>Removes workers for good, and undoes what they may have spoilt.</summary>
    /// <param name="backTo">The newest state that is free of it.</param>
    private void Quarantine(IReadOnlyList<(string Name, Member? Member)> guilty, string why, long step, int? slice, long backTo, TimeSpan now)
    {
        foreach (var (name, member) in guilty) Expel(new ShutOut(name, member?.Host ?? "", why, step, slice));
        GoBack(backTo, mayKeep: true, now);
    }

    /// <summary>A worker brings word of whom a coordinator before this one shut out. Who of them came here first goes, and what it computed here is undone.</summary>
    private void HearOf(ImmutableArray<ShutOut> shutOut, TimeSpan now)
    {
        long? backTo = null;
        foreach (var other in shutOut.Where(other => !_shutOut.ContainsKey(other.Name)))
        {
            Expel(other);
            if (_clean.TryGetValue(other.Name, out var clean)) backTo = Math.Min(backTo ?? clean, clean);
        }
        if (backTo is { } step) GoBack(step, mayKeep: true, now);
    }

    private void Expel(ShutOut worker)
    {
        if (_shutOut.Count < ShutOut.Most) _shutOut = _shutOut.SetItem(worker.Name, worker);
        _effects.Add(new CoordinatorEffect.Quarantined(worker.Name, worker.Host, worker.Why, worker.Step, worker.Slice));
        foreach (var present in _members.Values.Where(present => present.Member.Name == worker.Name).ToList())
        {
            _members.Remove(present.Member.Id);
            _effects.Add(new CoordinatorEffect.Refuse(present.Member.Id, worker.ToException()));
        }
    }
}
