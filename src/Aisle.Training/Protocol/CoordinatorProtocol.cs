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

    /// <summary>The part of all slices that a second worker computes too; 0 for none, 1 for all.</summary>
    public double AuditFraction { get; init; }

    /// <summary>Workers to wait for before the first step.</summary>
    public int MinimumWorkers { get; init; } = 1;

    /// <summary>Names this coordinator's rule. Drawn by chance at each start: what workers say to each other counts only among those that follow one term.</summary>
    public long Term { get; init; }

    /// <summary>How often <see cref="CoordinatorProtocol.Ticked"/> is called.</summary>
    public TimeSpan TickEvery { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>A worker that says nothing for so long is suspected: others do its work too, and it counts again once it speaks.</summary>
    public TimeSpan SuspectAfter { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>So many skipped steps in a row end the run. At least 1.</summary>
    public int MostSkippedInARow { get; init; } = SkippedSteps.MostInARow;

    /// <summary>A worker that says nothing for so long is hung up on.</summary>
    public TimeSpan GiveUpAfter { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>How long to wait for workers that may come back with a state before going on without them.</summary>
    public TimeSpan ReunionWithin { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>A learner that gets nothing of the state for so long is hung up on.</summary>
    public TimeSpan LearnWithin { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>So many steps may be planned that a learner has not followed yet; then the others wait for it. At least 1, at most <see cref="WorkerProtocol.MostAhead"/> − 3.</summary>
    public int MostBehind { get; init; } = 4;

    /// <summary>The longest that the others wait for a learner that speaks but does not get further; one that is silent they do not wait for. It may try again later.</summary>
    public TimeSpan WaitForLearner { get; init; } = TimeSpan.FromSeconds(15);
}

/// <summary>How a worker introduces itself.</summary>
/// <param name="Host">Where its peers reach it.</param>
/// <param name="TokensPerStep">What a step's gradient is divided by.</param>
/// <param name="Canary">Digest of the gradient of the first slice at the seed's weights: equal within a numeric class.</param>
/// <param name="NumericClass">What decides floating-point bits there, for the message when canaries differ.</param>
public sealed record Introduction(string Name, string Host, int Port, RunShape Run, long TokensPerStep, Digest Canary, string NumericClass)
{
    /// <summary>Null for a worker that has no state yet.</summary>
    public Returning? Returning { get; init; }
}

/// <summary>What a worker brings along that has a state but lost its coordinator.</summary>
/// <param name="Term">Of the coordinator it followed.</param>
/// <param name="Member">Who it was there.</param>
/// <param name="Life">Of its last begin.</param>
/// <param name="Peers">Members of its last plan, itself included: how many others may come back too.</param>
/// <param name="PlannedUpTo">The last step it has a plan for. It goes on with that by itself.</param>
public sealed record Returning(long Term, MemberId Member, long Life, int Peers, long PlannedUpTo, long State, StateReport Report)
{
    /// <summary>Of its last begin.</summary>
    public long Generation { get; init; }

    /// <summary>Of its last begin.</summary>
    public ImmutableArray<ShutOut> ShutOut { get; init; } = [];
}

/// <summary>
/// The coordinator's rules: who is in, who computes what, who owns which shard, and what changes when a worker dies, falls silent, leaves or comes.
/// Feed it what happened and when; carry out what it returns. It holds nothing that the run depends on: no weights, no sums. One that
/// starts with nothing in memory takes up the run from the states that its workers bring along.
/// </summary>
/// <remarks>Not thread-safe. Times are since the coordinator's start.</remarks>
public sealed partial class CoordinatorProtocol(CoordinatorRules rules)
{
    private readonly SortedDictionary<MemberId, Standing> _members = [];
    private readonly SortedDictionary<long, StepPlan> _plans = []; // the latest step, and the one before while somebody still needs it
    private List<CoordinatorEffect> _effects = [];
    private (long Step, Digest Digest)? _newest = rules.ResumeFrom;
    private RunShape? _run = rules.Run;
    private Introduction? _first; // the worker that fixed the numeric class, and the run where nobody else had
    private long _epoch;
    private int _nextMember;
    private int _nextUnit;
    private long _reached = rules.ResumeFrom?.Step ?? 0; // highest state that anyone has reached
    private bool _running;
    private int _skippedInARow;
    private bool _over;
    private bool _completed;
    private (TimeSpan Since, int Slices)? _recovering;

    private enum Role
    {
        /// <summary>Introduced, not in any plan.</summary>
        Waiting,
        Learner,
        Active,
    }

    private IEnumerable<Standing> Active => _members.Values.Where(member => member.Role == Role.Active);

    private IEnumerable<Standing> Learners => _members.Values.Where(member => member.Role == Role.Learner);

    /// <summary>Active members that can be counted on.</summary>
    private IEnumerable<Standing> Hands => Active.Where(member => !member.IsSuspect);

    public bool IsOver => _over;

    /// <summary>What the run is; null until the first worker has said it.</summary>
    public RunShape? Run => _run;

    /// <summary>Tokens in one step; 0 until the first worker has said it.</summary>
    public long TokensPerStep => _first?.TokensPerStep ?? 0;

    private RunShape Shape => _run!; // nothing is planned before somebody is in

    private long LastStep => Math.Min(rules.StopAtStep ?? long.MaxValue, Shape.Steps);

    /// <param name="id">Who it is from here on: who it was, where it is still counted on.</param>
    public IReadOnlyList<CoordinatorEffect> Introduced(Introduction worker, TimeSpan now, out MemberId id)
    {
        if (!_over && worker.Returning is { } returning && returning.Term == _term && _members.TryGetValue(returning.Member, out var known))
        {
            if (known.Role == Role.Active && known.Life == returning.Life)
            {
                id = known.Member.Id;
                TakeBack(known, returning, now);
                return Take();
            }
        }
        // No two workers listen at one place: whoever was there before is this one, in a life that it never heard of or has forgotten.
        foreach (var before in _members.Values.Where(member => member.Member.Host == worker.Host && member.Member.Port == worker.Port).ToList()) Depart(before, "it came back anew", now);
        id = new MemberId(_nextMember++);
        if (_completed)
        {
            _effects.Add(new CoordinatorEffect.SendFinished(id));
            return Take();
        }
        if (Objection(worker) is { } objection)
        {
            _effects.Add(new CoordinatorEffect.Refuse(id, objection));
            return Take();
        }
        _run ??= worker.Run;
        _first ??= worker;
        if (worker.Returning is { } brought) HearOf(brought.ShutOut, now);
        var member = new Standing(new Member(id, worker.Name, worker.Host, worker.Port)) { LastHeard = now, Kept = Trusted(worker.Returning) };
        _members.Add(id, member);
        GatherIfAhead(member, now);
        Advance(now);
        return Take();
    }

    /// <summary>The worker has this state: after its start, or after a step.</summary>
    /// <param name="life">Of the begin it lives by: what it says of an earlier one is only what it could bring along.</param>
    public IReadOnlyList<CoordinatorEffect> Reached(MemberId id, long life, long state, StateReport report, TimeSpan now)
    {
        if (_over || !_members.TryGetValue(id, out var member)) return [];
        HearFrom(member, now);
        if (member.Role == Role.Waiting && member.Kept is { } kept && kept.Life == life)
        {
            member.Kept = kept with { State = state, Report = report };
            GatherIfAhead(member, now);
        }
        else if (member.Role != Role.Waiting && member.Life == life)
        {
            Note(member, state, report, now);
        }
        if (!_over) Advance(now);
        return Take();
    }

    public IReadOnlyList<CoordinatorEffect> Heard(MemberId id, TimeSpan now)
    {
        if (_over || !_members.TryGetValue(id, out var member)) return [];
        HearFrom(member, now);
        return Take();
    }

    private void Note(Standing member, long state, StateReport report, TimeSpan now)
    {
        var isFirst = member.State is null;
        (member.State, member.Report) = (state, report);
        member.FirstState ??= state;
        if (!Vote(member, state, report, isFirst, now)) return;
        Commit(state, report, Hands.Count(), now);
        // It made one step more before it heard of the plan: the slices it was given are past for it.
        if (isFirst && member.Role == Role.Active && _plans.Keys.Any(step => step < state)) ReviseAll(now);
    }

    private void Commit(long state, StateReport report, int workers, TimeSpan now)
    {
        if (state <= _reached) return;
        (_reached, _committed) = (state, report);
        _effects.Add(new CoordinatorEffect.Committed(state, report, workers, now));
        _skippedInARow = report.Skipped ? _skippedInARow + 1 : 0;
        if (_skippedInARow >= rules.MostSkippedInARow)
        {
            Fail(SkippedSteps.TooMany(_skippedInARow, state - 1));
            return;
        }
        if (_recovering is not { } recovering) return;
        _recovering = null;
        _effects.Add(new CoordinatorEffect.Recovered(state, now - recovering.Since, recovering.Slices));
    }

    private AisleException? Objection(Introduction worker)
    {
        var name = worker.Name;
        if (_over) return new AisleException("AISLE-5121", "The run is over; it needs no more workers.", "Nothing to do.");
        if (_shutOut.TryGetValue(name, out var shutOut)) return shutOut.ToException();
        if (_run?.Objection(name, worker.Run, rules.Run is null ? $"the first worker {_first!.Name}" : "the job") is { } objection) return objection;
        if (Math.Min(rules.StopAtStep ?? long.MaxValue, worker.Run.Steps) is var last && rules.ResumeFrom?.Step > last)
        {
            return new AisleException("AISLE-5114", $"The run of worker {name} ends at step {last}, before step {rules.ResumeFrom?.Step} of its checkpoint.", "Resume from an earlier checkpoint, or stop later.");
        }
        if (_first is not { } first) return null;
        if (first.TokensPerStep != worker.TokensPerStep)
        {
            return new AisleException(
                "AISLE-5150", $"Worker {name} counts {worker.TokensPerStep} tokens in a step, {first.Name} {first.TokensPerStep}: their data differ.", "Start all workers with the same inputs.");
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
        public Member Member { get; set; } = member;

        public Role Role { get; set; }

        /// <summary>What it brought along, until it begins.</summary>
        public Returning? Kept { get; set; }

        public long Life { get; set; }

        /// <summary>Highest state it has reported in this life.</summary>
        public long? State { get; set; }

        public StateReport Report { get; set; }

        public StateSource Source { get; set; }

        /// <summary>Its state is its own work, or was found equal to the others' in full since it was sent to it.</summary>
        public bool IsVouched { get; set; }

        /// <summary>The state it began with: it never held what led to that one.</summary>
        public long? FirstState { get; set; }

        public TimeSpan LastHeard { get; set; }

        /// <summary>As a learner: it has everything of the steps before this one.</summary>
        public long Followed { get; set; }

        /// <summary>The first piece of the state is with it.</summary>
        public bool IsLearning { get; set; }

        /// <summary>When a learner last got a piece of the state, or a step further.</summary>
        public TimeSpan LearnedAt { get; set; }

        /// <summary>It could not follow, and is not taken in again before.</summary>
        public TimeSpan NotBefore { get; set; }

        /// <summary>The oldest step of which it may lack something.</summary>
        public long Lacks => State ?? Followed;

        /// <summary>A running mean over its last steps; 0 before the first.</summary>
        public double SecondsPerSlice { get; set; }

        public bool IsConnected { get; set; } = true;

        public bool IsSilent { get; set; }

        public bool IsLeaving { get; set; }

        /// <summary>The last step in which it was given slices or shards.</summary>
        public long LastDuty { get; set; } = -1;

        /// <summary>It may be dead, or not: others do its work too.</summary>
        public bool IsSuspect => !IsConnected || IsSilent;
    }
}
