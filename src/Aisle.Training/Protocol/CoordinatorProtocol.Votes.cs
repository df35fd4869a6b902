using System.IO.Hashing;
using System.Runtime.InteropServices;
using Aisle.Training.Numerics;

namespace Aisle.Training.Protocol;

/// <summary>What all of a state's weights, and now and then the optimiser's values with them, come down to.</summary>
/// <param name="Moments">0 where it was not computed: see <see cref="HasMoments"/>.</param>
public readonly record struct StateHash(ulong Weights, ulong Moments)
{
    private const int MomentsEvery = 8;

    /// <summary>Whether a state's hash covers the optimiser's values too. The weights show within a step most of what is wrong with them; this shows the rest.</summary>
    public static bool HasMoments(long state, long checkpointEvery) => state % MomentsEvery == 0 || (checkpointEvery > 0 && state % checkpointEvery == 0);

    internal static StateHash Of(ReadOnlySpan<float> weights, ReadOnlySpan<float> slots, OptimizerPowers powers)
    {
        var moments = new XxHash3();
        moments.Append(MemoryMarshal.AsBytes(slots));
        moments.Append(MemoryMarshal.AsBytes<double>([powers.Beta1, powers.Beta2]));
        return new StateHash(XxHash3.HashToUInt64(MemoryMarshal.AsBytes(weights)), moments.GetCurrentHashAsUInt64());
    }

    public bool Agrees(StateHash other) => Weights == other.Weights && (Moments == other.Moments || Moments == 0 || other.Moments == 0);
}

/// <summary>
/// Two workers whose hashes differ at one state cannot both be right. With three or more the majority decides at once; with two, all go back and
/// make the same steps again, watched, and whoever then arrives somewhere else than before was wrong.
/// </summary>
public sealed partial class CoordinatorProtocol
{
    private readonly SortedDictionary<long, SortedDictionary<MemberId, Ballot>> _votes = [];
    private readonly Dictionary<long, Dictionary<string, StateHash>> _claimed = []; // as _contested, of states
    private const int MostMisled = 2;
    private readonly Dictionary<string, int> _misled = []; // worker → how often a state it was sent, or what it made of that, was not the others'
    private readonly SortedDictionary<long, StateHash> _agreed = []; // of states that are being stored, once all have said the same
    private long? _disputed;

    /// <returns>False when the report was not taken: the run has begun again, or waits for a verdict.</returns>
    private bool Vote(Standing member, long state, StateReport report, bool isFirst, TimeSpan now)
    {
        var hash = report.Hash;
        if (isFirst && member.Source == StateSource.Checkpoint && _stored.Find(stored => stored.Step == state) is { Digest: var digest, Hash: var stored } && _newest?.Digest == digest && stored != default && !stored.Agrees(hash))
        {
            GoBack(state - 1, mayKeep: false, now); // what is stored is not what it was, or cannot be read as it was
            return false;
        }
        if (!_votes.TryGetValue(state, out var votes)) _votes.Add(state, votes = []);
        votes[member.Member.Id] = new Ballot(member.Member.Name, member.Member, member.IsVouched, isFirst && member.Source == StateSource.Peer, hash);
        foreach (var old in _votes.Keys.Where(known => known < state - 2 && !_saves.ContainsKey(known)).ToList()) _votes.Remove(old);
        if (votes.Values.Any(ballot => !ballot.Hash.Agrees(hash)))
        {
            _disputed = Math.Min(_disputed ?? state, state);
            return false;
        }
        if (hash.Moments != 0 && Hands.All(hand => votes.TryGetValue(hand.Member.Id, out var ballot) && ballot.Hash == hash))
        {
            // Whoever got its state from whom: it is one and the same, in full.
            foreach (var hand in Hands) hand.IsVouched = true;
            if (_saves.ContainsKey(state)) _agreed[state] = hash;
            while (_agreed.Count > 4) _agreed.Remove(_agreed.Keys.First());
        }
        return true;
    }

    private void DecideState(long state, TimeSpan now)
    {
        var votes = _votes[state];
        if (Hands.Any(hand => !votes.ContainsKey(hand.Member.Id) && (hand.State is null || hand.State < state))) return; // it will say
        // A state that was handed on is no voice of its own: who learned from a wrong worker must not speak for it.
        var voices = votes.Where(vote => vote.Value.IsVouched).ToList();
        var values = voices.GroupBy(vote => vote.Value.Hash).OrderByDescending(value => value.Count()).ToList();
        var isMajority = values.Count > 0 && 2 * values[0].Count() > voices.Count;
        var isLonely = voices.Count == 1 && votes.Values.Any(ballot => !ballot.IsVouched && !ballot.IsFirst && !ballot.Hash.Agrees(voices[0].Value.Hash));
        if (!isMajority || isLonely || (values.Count > 1 && voices.Count < 3))
        {
            LeaveStateUndecided(state, voices.Count > 0 ? voices : [.. votes], now);
            return;
        }
        var right = values[0].First().Value.Hash;
        var wrong = values.Skip(1).SelectMany(value => value).Select(vote => vote.Value).FirstOrDefault() ?? votes.Values.First(ballot => !ballot.Hash.Agrees(right));
        var backTo = _proven.Contains(state - 1) ? state : state - 1;
        var hasMisled = false;
        List<(string Name, Member? Member)> guilty = [];
        foreach (var (id, ballot) in votes.Where(vote => !vote.Value.IsVouched && !vote.Value.Hash.Agrees(right)).ToList())
        {
            votes.Remove(id);
            hasMisled |= !ballot.IsFirst && ballot.Hash.Weights != right.Weights;
            if ((_misled[ballot.Name] = _misled.GetValueOrDefault(ballot.Name) + 1) >= MostMisled)
            {
                guilty.Add((ballot.Name, ballot.Member));
                continue;
            }
            if (_members.TryGetValue(id, out var misled)) Demote(misled, "the state it was sent is not the others'", now);
        }
        guilty.AddRange(values.Skip(1).SelectMany(value => value).Select(vote => (vote.Value.Name, (Member?)vote.Value.Member)));
        WithdrawWhere(stored => stored.Step == state && !stored.Hash.Agrees(right));
        _disputed = null;
        if (guilty.Count == 0)
        {
            if (hasMisled) GoBack(backTo, mayKeep: true, now);
            else GoOnWithout(now);
            return;
        }
        var isOfWeights = wrong.Hash.Weights != right.Weights;
        var why = isOfWeights
            ? $"its weights at step {state} are {wrong.Hash.Weights:x16}, the others' {right.Weights:x16}"
            : $"its optimiser's values at step {state} are not the others'";
        Quarantine(guilty, why, state, null, isOfWeights || hasMisled ? backTo : state, now);
    }

    private void LeaveStateUndecided(long state, IReadOnlyList<KeyValuePair<MemberId, Ballot>> voices, TimeSpan now)
    {
        if (_proven.Contains(state - 1) && IsWatchedSinceStored(state - 1))
        {
            if (!_claimed.TryGetValue(state, out var before)) _claimed.Add(state, before = []);
            var changed = voices.Where(vote => before.TryGetValue(vote.Value.Name, out var said) && !said.Agrees(vote.Value.Hash)).ToList();
            if (changed.Count > 0)
            {
                Quarantine(
                    [.. changed.Select(vote => (vote.Value.Name, (Member?)vote.Value.Member))], $"the same steps led it to other weights at step {state} than before", state, null, state - 1, now);
                return;
            }
            foreach (var (_, ballot) in voices) before[ballot.Name] = ballot.Hash;
        }
        LeaveUndecided(state, state - 1, $"Workers {string.Join(" and ", voices.Select(vote => vote.Value.Name))} have different states at step {state}", now);
    }

    /// <param name="IsFirst">It was sent the state and has given nothing yet.</param>
    private sealed record Ballot(string Name, Member Member, bool IsVouched, bool IsFirst, StateHash Hash);
}
