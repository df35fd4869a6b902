using System.Collections.Immutable;

namespace Aisle.Training.Protocol;

/// <summary>
/// Workers that come without a state. The others do not wait while it travels: a learner follows the steps by their gradients, and may be some steps behind. They
/// wait when it is too far behind, because until it is further all of them keep what it lacks, and for the one step in which it takes its place.
/// </summary>
public sealed partial class CoordinatorProtocol
{
    private const int MostDonors = 4;
    private static readonly TimeSpan s_notAgainFor = TimeSpan.FromSeconds(30);
    private TimeSpan? _heldUpSince; // the next step could begin, but for a learner

    /// <summary>A learner has everything of the steps before <paramref name="state"/>, and perhaps one more piece of the state itself.</summary>
    public IReadOnlyList<CoordinatorEffect> Learning(MemberId id, long life, long state, TimeSpan now)
    {
        if (_over || !_members.TryGetValue(id, out var member)) return [];
        HearFrom(member, now);
        if (member.Role == Role.Learner && member.Life == life && member.State is null)
        {
            if (!member.IsLearning) _effects.Add(new CoordinatorEffect.Learns(member.Member, member.Followed));
            member.IsLearning = true;
            (member.Followed, member.LearnedAt) = (Math.Max(member.Followed, state), now);
            Advance(now);
        }
        return Take();
    }

    /// <summary>Whether a learner is near enough for one more step.</summary>
    private bool Keeps(Standing learner, long latest) => learner.State is { } state ? state >= latest : learner.Followed > latest - rules.MostBehind;

    /// <summary>When a learner holds the others up and gets no further, they go on without it.</summary>
    private void GiveUpOnLearners(TimeSpan now)
    {
        if (!_running || _heldUpSince is not { } since) return;
        var latest = _plans.Keys.Last();
        foreach (var learner in Learners.Where(learner => !learner.IsSuspect && !Keeps(learner, latest) && now - (learner.LearnedAt > since ? learner.LearnedAt : since) > rules.WaitForLearner).ToList())
        {
            learner.NotBefore = now + s_notAgainFor;
            Demote(learner, $"it is {latest - learner.Lacks} steps behind while it learns the state, and got no further for {rules.WaitForLearner.TotalSeconds:0.#} s", now);
        }
    }

    private bool IsLacking(MemberId id, long step) => _members.TryGetValue(id, out var member) && member.Role == Role.Learner && member.Lacks <= step;

    /// <summary>Each learner begins with another donor, so that several do not all ask the same ones.</summary>
    private ImmutableArray<MemberId> DonorsFor(int learner)
    {
        var donors = Takers.Select(member => member.Member.Id).ToArray();
        var first = learner % donors.Length;
        return [.. donors.Skip(first).Concat(donors.Take(first)).Take(MostDonors)];
    }
}
