using System.Collections.Immutable;
using Aisle.Artifacts;

namespace Aisle.Training.Protocol;

/// <summary>What a coordinator's rules need to know of a job.</summary>
public sealed record CoordinatorRules
{
    public required int Slices { get; init; }

    public required int Shards { get; init; }

    /// <summary>State at which the run ends.</summary>
    public required long LastStep { get; init; }

    /// <summary>States that are multiples of this are stored. 0: none.</summary>
    public long CheckpointEvery { get; init; }

    /// <summary>Whether the last state is the model to hand over, or only a checkpoint to stop at.</summary>
    public bool ModelAtEnd { get; init; } = true;

    /// <summary>The stored state the run starts with; null for the seed's.</summary>
    public (long Step, Digest Digest)? ResumeFrom { get; init; }

    /// <summary>Workers to wait for before the first step.</summary>
    public int MinimumWorkers { get; init; } = 1;

    /// <summary>Digest that every worker's recipe must have.</summary>
    public required Digest Recipe { get; init; }

    /// <summary>A worker that says nothing for so long is taken for dead.</summary>
    public TimeSpan SuspectAfter { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Longest that a learner may take to receive the state while the others wait for it.</summary>
    public TimeSpan LearnWithin { get; init; } = TimeSpan.FromSeconds(60);
}

/// <summary>How a worker introduces itself.</summary>
/// <param name="Canary">Digest of the gradient of the first slice at the seed's weights: equal within a numeric class.</param>
/// <param name="NumericClass">What decides floating-point bits there, for the message when canaries differ.</param>
public sealed record Introduction(Member Member, Digest Recipe, int Shards, Digest Canary, string NumericClass);

/// <summary>
/// The coordinator's rules: who is in, who computes what, who owns which shard, and what changes when a worker dies or comes. Feed it what
/// happened and when; carry out what it returns. It holds nothing that the run depends on: no weights, no sums, no votes.
/// </summary>
/// <remarks>Not thread-safe. Times are since the coordinator's start.</remarks>
public sealed partial class CoordinatorProtocol(CoordinatorRules rules)
{
    private readonly SortedDictionary<MemberId, Standing> _members = [];
    private readonly SortedDictionary<long, StepPlan> _plans = []; // the latest step, and the one before while somebody still needs it
    private readonly Dictionary<long, ulong> _hashes = [];
    private List<CoordinatorEffect> _effects = [];
    private (long Step, Digest Digest)? _newest = rules.ResumeFrom;
    private (Digest Canary, string NumericClass)? _class;
    private long _epoch;
    private int _nextUnit;
    private long _reached = rules.ResumeFrom?.Step ?? 0; // highest state that anyone has reached
    private bool _running;
    private bool _over;
    private (TimeSpan Since, int Slices)? _recovering;

    private enum Role
    {
        /// <summary>Introduced, not in any plan yet.</summary>
        Waiting,
        Learner,
        Active,
    }

    private IEnumerable<Standing> Active => _members.Values.Where(member => member.Role == Role.Active);

    private IEnumerable<Standing> Learners => _members.Values.Where(member => member.Role == Role.Learner);

    public bool IsOver => _over;

    public IReadOnlyList<CoordinatorEffect> Introduced(Introduction worker, TimeSpan now)
    {
        if (Objection(worker) is { } objection)
        {
            _effects.Add(new CoordinatorEffect.Refuse(worker.Member.Id, objection));
            return Take();
        }
        _class ??= (worker.Canary, worker.NumericClass);
        _members.Add(worker.Member.Id, new Standing(worker.Member) { LastHeard = now });
        Advance(now);
        return Take();
    }

    /// <summary>The worker has this state: after its start, or after a step.</summary>
    public IReadOnlyList<CoordinatorEffect> Reached(MemberId id, long state, StateReport report, TimeSpan now)
    {
        if (_over || !_members.TryGetValue(id, out var member)) return [];
        member.State = state;
        member.FirstState ??= state;
        member.LastHeard = now;
        if (!_hashes.TryAdd(state, report.WeightsHash) && _hashes[state] != report.WeightsHash)
        {
            Fail(new AisleException(
                "AISLE-5120",
                $"Worker {member.Member.Name} has other weights at step {state} than the worker that reached it first ({report.WeightsHash:x16} against {_hashes[state]:x16}).",
                "One of the machines computes wrongly: run `aisle doctor` on both, and resume from the last checkpoint without the faulty one."));
            return Take();
        }
        if (state > _reached)
        {
            _reached = state;
            _effects.Add(new CoordinatorEffect.Committed(state, report, Active.Count(), now));
            if (_recovering is { } recovering)
            {
                _recovering = null;
                _effects.Add(new CoordinatorEffect.Recovered(state, now - recovering.Since, recovering.Slices));
            }
        }
        foreach (var old in _hashes.Keys.Where(known => known < state - 8).ToList()) _hashes.Remove(old);
        Advance(now);
        return Take();
    }

    public IReadOnlyList<CoordinatorEffect> Heard(MemberId id, TimeSpan now)
    {
        if (_members.TryGetValue(id, out var member)) member.LastHeard = now;
        return [];
    }

    /// <summary>The worker's connection is gone.</summary>
    public IReadOnlyList<CoordinatorEffect> Lost(MemberId id, string reason, TimeSpan now)
    {
        Remove(id, reason, now);
        return Take();
    }

    /// <summary>A worker has tried for a while and cannot reach a peer whose connection to the coordinator stands.</summary>
    public IReadOnlyList<CoordinatorEffect> Unreachable(MemberId by, MemberId peer, TimeSpan now)
    {
        if (_members.TryGetValue(by, out var accuser) && _members.ContainsKey(peer))
        {
            _effects.Add(new CoordinatorEffect.HangUp(peer));
            Remove(peer, $"{accuser.Member.Name} cannot reach it", now);
        }
        return Take();
    }

    public IReadOnlyList<CoordinatorEffect> Ticked(TimeSpan now)
    {
        foreach (var member in _members.Values.ToList())
        {
            var reason = now - member.LastHeard > rules.SuspectAfter ? $"it said nothing for {(now - member.LastHeard).TotalSeconds:0.0} s"
                : member.Role == Role.Learner && member.State is null && now - member.BegunAt > rules.LearnWithin ? $"it did not receive the state within {rules.LearnWithin.TotalSeconds:0} s"
                : null;
            if (reason is null) continue;
            _effects.Add(new CoordinatorEffect.HangUp(member.Member.Id));
            Remove(member.Member.Id, reason, now);
        }
        return Take();
    }

    private AisleException? Objection(Introduction worker) => this switch
    {
        { _over: true } => new AisleException("AISLE-5121", "The run is over; it needs no more workers.", "Nothing to do."),
        _ when worker.Recipe != rules.Recipe => new AisleException(
            "AISLE-5122", $"Worker {worker.Member.Name} has recipe {worker.Recipe.Short}, the job has {rules.Recipe.Short}.", "Start the worker with the job's own parameters and inputs."),
        _ when worker.Shards != rules.Shards => new AisleException(
            "AISLE-5132", $"Worker {worker.Member.Name} cuts its model into {worker.Shards} shards, the coordinator into {rules.Shards}.", "Start the coordinator and all workers from one version and recipe."),
        { _class: var (canary, numericClass) } when canary != worker.Canary => new AisleException(
            "AISLE-5123",
            $"Worker {worker.Member.Name} computes other bits: its canary gradient is {worker.Canary.Short}, the job's is {canary.Short} (numeric class '{worker.NumericClass}' against '{numericClass}').",
            "Use machines of one numeric class for a job, or start all of them in the portable class; `aisle doctor` prints each machine's."),
        _ => null,
    };

    private void Fail(AisleException reason)
    {
        _over = true;
        _effects.Add(new CoordinatorEffect.Failed(reason));
        foreach (var id in _members.Keys) _effects.Add(new CoordinatorEffect.Refuse(id, reason));
    }

    private List<CoordinatorEffect> Take()
    {
        var effects = _effects;
        _effects = [];
        return effects;
    }

    private sealed class Standing(Member member)
    {
        public Member Member => member;

        public Role Role { get; set; }

        /// <summary>Highest state it has reported.</summary>
        public long? State { get; set; }

        /// <summary>The state it began with: it never held what led to that one.</summary>
        public long? FirstState { get; set; }

        public TimeSpan LastHeard { get; set; }

        public TimeSpan BegunAt { get; set; }
    }
}
