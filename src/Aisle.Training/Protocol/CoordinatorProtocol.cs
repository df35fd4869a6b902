using System.Collections.Immutable;
using Aisle.Artifacts;

namespace Aisle.Training.Protocol;

/// <summary>What a coordinator's rules need to know of a job.</summary>
public sealed record CoordinatorRules
{
    /// <summary>Null: the first worker's.</summary>
    public RunShape? Run { get; init; }

    /// <summary>Ends the run at this state, with a checkpoint in place of a model.</summary>
    public long? StopAtStep { get; init; }

    /// <summary>The stored state the run starts with; null for the seed's.</summary>
    public (long Step, Digest Digest)? ResumeFrom { get; init; }

    /// <summary>Workers to wait for before the first step.</summary>
    public int MinimumWorkers { get; init; } = 1;

    /// <summary>A worker that says nothing for so long is taken for dead.</summary>
    public TimeSpan SuspectAfter { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Longest that a learner may take to receive the state while the others wait for it.</summary>
    public TimeSpan LearnWithin { get; init; } = TimeSpan.FromSeconds(60);
}

/// <summary>How a worker introduces itself.</summary>
/// <param name="TokensPerStep">What a step's gradient is divided by.</param>
/// <param name="Canary">Digest of the gradient of the first slice at the seed's weights: equal within a numeric class.</param>
/// <param name="NumericClass">What decides floating-point bits there, for the message when canaries differ.</param>
public sealed record Introduction(Member Member, RunShape Run, long TokensPerStep, Digest Canary, string NumericClass);

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
    private RunShape? _run = rules.Run;
    private Introduction? _first; // the worker that fixed the numeric class, and the run where nobody else had
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

    /// <summary>What the run is; null until the first worker has said it.</summary>
    public RunShape? Run => _run;

    /// <summary>Tokens in one step; 0 until the first worker has said it.</summary>
    public long TokensPerStep => _first?.TokensPerStep ?? 0;

    private RunShape Shape => _run!; // nothing is planned before somebody is in

    private long LastStep => Math.Min(rules.StopAtStep ?? long.MaxValue, Shape.Steps);

    public IReadOnlyList<CoordinatorEffect> Introduced(Introduction worker, TimeSpan now)
    {
        if (Objection(worker) is { } objection)
        {
            _effects.Add(new CoordinatorEffect.Refuse(worker.Member.Id, objection));
            return Take();
        }
        _run ??= worker.Run;
        _first ??= worker;
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

    private AisleException? Objection(Introduction worker)
    {
        var name = worker.Member.Name;
        if (_over) return new AisleException("AISLE-5121", "The run is over; it needs no more workers.", "Nothing to do.");
        if (_run?.Objection(name, worker.Run, rules.Run is null ? $"the first worker {_first!.Member.Name}" : "the job") is { } objection) return objection;
        if (Math.Min(rules.StopAtStep ?? long.MaxValue, worker.Run.Steps) is var last && rules.ResumeFrom?.Step > last)
        {
            return new AisleException("AISLE-5114", $"The run of worker {name} ends at step {last}, before step {rules.ResumeFrom?.Step} of its checkpoint.", "Resume from an earlier checkpoint, or stop later.");
        }
        if (_first is not { } first) return null;
        if (first.TokensPerStep != worker.TokensPerStep)
        {
            return new AisleException(
                "AISLE-5150", $"Worker {name} counts {worker.TokensPerStep} tokens in a step, {first.Member.Name} {first.TokensPerStep}: their data differ.", "Start all workers with the same inputs.");
        }
        return first.Canary == worker.Canary ? null : new AisleException(
            "AISLE-5123",
            $"Worker {name} computes other bits: its canary gradient is {worker.Canary.Short}, the job's is {first.Canary.Short} (numeric class '{worker.NumericClass}' against '{first.NumericClass}').",
            "Use machines of one numeric class for a job, or start all of them in the portable class; `aisle doctor` prints each machine's.");
    }

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
