using System.Buffers;
using System.Text;
using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Tests.Simulation;

/// <summary>A known bug to put back, to see that it is found.</summary>
internal enum Bug
{
    None,
    AcknowledgeBeforeFlush,
    LostVote,

    /// <summary>Rule 7.</summary>
    FirstReplies,

    /// <summary>Rule 8.</summary>
    CommitOlderTerms,

    /// <summary>Rule 9.</summary>
    ConfirmOwnLast,

    /// <summary>Rule 11.</summary>
    LateRepliesCount,

    /// <summary>Rule 14.</summary>
    CountSelfBeforeFlush,

    /// <summary>Rule 15.</summary>
    LateCompletionsCount,

    /// <summary>Rule 21.</summary>
    KeepAnySuffix,

    /// <summary>Rule 23.</summary>
    ChangesAtOnce,

    /// <summary>Rule 26.</summary>
    ReadWithoutRound,
}

/// <summary>
/// A whole cluster in one thread: virtual time, a bad network, disks that lose what was not flushed, members that crash, pause, come and go, and clients.
/// Everything follows from the plan and so from its seed. After every step <see cref="Invariants"/> looks at all of it.
/// </summary>
internal sealed partial class SimulatedCluster
{
    private const int TickEvery = 15;
    private const long GivesUp = SimulationPlan.Heals + 20_000;

    private readonly SimulationPlan _plan;
    private readonly Bug _bug;
    private readonly Chance _chance;
    private readonly RaftRules _rules;
    private readonly PriorityQueue<Event, (long At, long Order)> _events = new();
    private readonly List<SimulatedMember> _members = [];
    private readonly Invariants _invariants;
    private readonly StringBuilder? _trace;
    private readonly ArrayBufferWriter<byte> _wire = new();
    private long _time;
    private long _order;
    private bool _healed;

    private SimulatedCluster(SimulationPlan plan, Bug bug, bool trace)
    {
        (_plan, _bug) = (plan, bug);
        _chance = new Chance(plan.Seed * 2);
        _trace = trace ? new StringBuilder() : null;
        _invariants = new Invariants(_members);
        _rules = new RaftRules
        {
            MatchOfMajority = bug == Bug.FirstReplies ? OfThoseThatReplied : Quorum.Reached,
            CountsOnlyOwnTerm = bug != Bug.CommitOlderTerms,
            ChecksSuffixOfSnapshot = bug != Bug.KeepAnySuffix,
            ChangesOneAtATime = bug != Bug.ChangesAtOnce,
        };
    }

    /// <summary>A number that two runs share only if everything in them was equal.</summary>
    public ulong TraceDigest { get; private set; }

    public string Trace => _trace?.ToString() ?? "";

    public long Steps { get; private set; }

    public long Time => _time;

    public long Committed => _invariants.Committed;

    /// <summary>Runs it to the end.</summary>
    /// <param name="failure">Why it failed; null when it did not.</param>
    public static SimulatedCluster Run(SimulationPlan plan, out string? failure, Bug bug = Bug.None, bool trace = false)
    {
        var cluster = new SimulatedCluster(plan, bug, trace);
        failure = null;
        try
        {
            cluster.Run();
        }
        catch (Exception e) when (e is BrokenPromiseException or AisleException or ArgumentException or InvalidOperationException)
        {
            failure = $"at {cluster._time}: {e.Message}";
            cluster.Log($"FAILED: {e.Message}");
        }
        return cluster;
    }

    private void Run()
    {
        var voters = Membership.Of([.. Enumerable.Range(1, _plan.Members).Select(id => (ulong)id)]);
        foreach (var voter in voters.Voters) AddMember(voter, voters);
        for (var client = 0; client < SimulatedState.Clients; client++) At(50 + client, new Event(What.Client, 0, 0, client));
        foreach (var fault in _plan.Faults) At(fault.At, new Event(What.Fault, 0, 0, fault));
        At(SimulationPlan.Heals, new Event(What.Heal, 0, 0, null));
        while (!IsDone)
        {
            if (_time > GivesUp) throw new BrokenPromiseException("all is well again, and the members do not come together: " + Describe());
            _events.TryDequeue(out var next, out var when);
            _time = when.At;
            Steps++;
            TraceDigest = (TraceDigest ^ (ulong)when.At ^ (ulong)next.What << 40 ^ (ulong)next.Member << 48) * 0x100000001B3 + (ulong)when.Order;
            Happen(next);
        }
        CheckEnd();
    }

    private void Happen(Event next)
    {
        switch (next.What)
        {
            case What.Fault: Strike((Fault)next.Content!); return;
            case What.Heal: Heal(); return;
            case What.Client: Ask((int)next.Content!); return;
            case What.Timeout: TimeOut((Request)next.Content!); return;
            case What.Restart: if (_members[next.Member].Raft is null) Start(_members[next.Member]); return;
            case What.Uncut: Uncut(((int, int))next.Content!); return;
        }
        var member = _members[next.Member];
        if (member.Raft is null || next.What != What.Deliver && member.Life != next.Life) return;
        if (next.What != What.Flushed && _time < member.PausedUntil)
        {
            At(member.PausedUntil, next);
            return;
        }
        switch (next.What)
        {
            case What.Tick:
                At(_time + TickEvery, next);
                Step(member, Tick.Now);
                break;
            case What.Deliver:
                Step(member, new Received(Received(member, (Message)next.Content!)));
                break;
            case What.Flushed:
                Flushed(member, (Persist)next.Content!);
                break;
            case What.Completed:
                Step(member, new Persisted(_bug == Bug.LateCompletionsCount
                    ? new(member.Raft!.Term, Math.Min(((LogPosition)next.Content!).Index, member.Raft.Last.Index)) : (LogPosition)next.Content!));
                break;
            case What.Apply:
                Apply(member, (IReadOnlyList<Entry>)next.Content!);
                break;
            case What.SnapshotOnDisk:
                SnapshotOnDisk(member, (SimulatedSnapshot)next.Content!);
                break;
            case What.Install:
                Install(member, (LogPosition)next.Content!);
                break;
            case What.Input:
                Step(member, (Input)next.Content!);
                break;
        }
    }

    private void AddMember(MemberId id, Membership knows)
    {
        var clock = _plan.ReadLease ? _chance.Between(97, 103) : _chance.Between(80, 120);
        var member = new SimulatedMember(id, new SimulatedDisk(knows) { LosesVotes = _bug == Bug.LostVote }, clock);
        _members.Add(member);
        Start(member);
    }

    private void Start(SimulatedMember member)
    {
        var (disk, snapshot) = (member.Disk, member.Disk.Snapshot);
        member.Life++;
        member.FlushFails = false;
        member.IsMakingSnapshot = false;
        member.Arriving.Clear();
        member.DiskBusyUntil = _time;
        member.State = SimulatedState.Read(snapshot.State);
        var start = new RaftStart(disk.State, snapshot.Position, snapshot.Members, disk.Base, [.. disk.Log]);
        member.Raft = new Raft(member.Id, Settings(), start, disk.Read, member.LocalTime(_time), _rules);
        member.Seen = new Seen(disk.State.Term, Role.Follower, snapshot.Position.Index);
        Log($"{member.Id} starts: term {disk.State.Term}, snapshot {snapshot.Position.Index}, log {disk.Base.Index}..{disk.LastIndex}");
        At(_time + 1 + _chance.Next(TickEvery), new Event(What.Tick, IndexOf(member.Id), member.Life, null));
        Carry(member);
    }

    private RaftSettings Settings() => new()
    {
        Heartbeat = 30,
        ElectionMinimum = 150,
        ElectionSpread = 150,
        ElectionMaximum = 600,
        ResendAfter = 100,
        MaxMessageBytes = 60,
        MaxInFlightMessages = 3,
        MaxInFlightBytes = 150,
        MaxUncommittedBytes = 400,
        TailBytes = 60,
        PromotionLag = 4,
        ReadLease = _plan.ReadLease ? 100 : 0,
        Seed = _plan.Seed,
    };

    private void Step(SimulatedMember member, Input input)
    {
        if (_trace is not null) Log($"{member.Id} <- {Show(input)}");
        member.Raft!.Step(member.LocalTime(_time), input);
        Carry(member);
    }

    /// <summary>Carries out what a member asks for, as its shell would.</summary>
    private void Carry(SimulatedMember member)
    {
        var index = IndexOf(member.Id);
        while (member.Raft!.TryTake(out var ready))
        {
            _invariants.Check(member);
            foreach (var message in ready.Send) Send(member, message);
            if (ready.Persist is { } persist) Write(member, index, persist);
            if (!ready.Apply.IsEmpty) At(_time + _chance.Next(4), new Event(What.Apply, index, member.Life, (IReadOnlyList<Entry>)ready.Apply));
            foreach (var chunk in ready.Store)
            {
                if (chunk.Offset == 0) member.Arriving.Clear();
                member.Arriving.AddRange(chunk.Data.Span);
            }
            if (ready.Install is { } position) At(_time + _chance.Between(1, 60), new Event(What.Install, index, member.Life, position));
            foreach (var wanted in ready.Chunks) SendChunk(member, wanted);
            foreach (var answer in ready.Answers) Answer(member, answer);
        }
        _invariants.Check(member);
    }

    private void Write(SimulatedMember member, int index, Persist persist)
    {
        foreach (var entry in persist.Entries) _invariants.Written(member.Raft!, entry);
        member.Disk.Write(persist);
        var takes = persist.WritesNothing ? 0 : _time < member.SlowDiskUntil ? 200 : _chance.Next(_plan.SlowestFlush + 1);
        member.DiskBusyUntil = Math.Max(member.DiskBusyUntil, _time) + takes;
        At(member.DiskBusyUntil, new Event(What.Flushed, index, member.Life, persist));
        if (_bug == Bug.AcknowledgeBeforeFlush)
        {
            foreach (var message in persist.Release.OfType<AppendReply>()) SendUnseen(message);
        }
        if (_bug == Bug.CountSelfBeforeFlush) At(_time, new Event(What.Completed, index, member.Life, persist.Completion));
    }

    private void Flushed(SimulatedMember member, Persist persist)
    {
        if (member.FlushFails && !persist.WritesNothing)
        {
            Crash(member, 100);   // the first failed flush is the last
            return;
        }
        member.Disk.Flush();
        foreach (var message in persist.Release) Send(member, message);
        // The disk keeps its order; word of it does not.
        At(_time + (_chance.Percent(10) ? _chance.Next(40) : 0), new Event(What.Completed, IndexOf(member.Id), member.Life, persist.Completion));
    }

    private void Apply(SimulatedMember member, IReadOnlyList<Entry> entries)
    {
        foreach (var entry in entries)
        {
            member.State.Apply(entry);
            _invariants.AppliedBy(member);
        }
        Step(member, new Applied(member.State.Applied));
        AnswerApplied(member);
        if (member.IsMakingSnapshot || member.State.Applied - member.Disk.Snapshot.Position.Index < _plan.SnapshotEvery) return;
        member.IsMakingSnapshot = true;
        var position = new LogPosition(member.Raft!.TermAt(member.State.Applied), member.State.Applied);
        var snapshot = new SimulatedSnapshot(position, member.Raft.MembersAt(position.Index), member.State.ToBytes());
        At(_time + _chance.Between(1, 40), new Event(What.SnapshotOnDisk, IndexOf(member.Id), member.Life, snapshot));
    }

    private void SnapshotOnDisk(SimulatedMember member, SimulatedSnapshot snapshot)
    {
        member.IsMakingSnapshot = false;
        if (snapshot.Position.Index <= member.Disk.Snapshot.Position.Index) return;
        member.Disk.Snapshot = snapshot;
        var through = Math.Max(0, snapshot.Position.Index - _chance.Next(_plan.SnapshotEvery));
        Step(member, new SnapshotMade(snapshot.Position, through));
        member.Disk.Cut(through);
    }

    private void SendChunk(SimulatedMember member, ChunkWanted wanted)
    {
        const int ChunkBytes = 40;
        var snapshot = member.Disk.Snapshot;
        if (snapshot.Position != wanted.Position)
        {
            At(_time + 1, new Event(What.Input, IndexOf(member.Id), member.Life, new SnapshotGone(wanted.To)));
            return;
        }
        var data = snapshot.State.AsMemory((int)wanted.Offset, (int)Math.Min(ChunkBytes, snapshot.State.Length - wanted.Offset));
        Send(member, new SnapshotChunk(member.Id, wanted.To, wanted.Term, wanted.Session, wanted.Position, wanted.Membership, wanted.Offset, snapshot.State.Length, data));
    }

    private void Install(SimulatedMember member, LogPosition position)
    {
        var good = _healed || !_chance.Percent(10);
        if (good)
        {
            var state = member.Arriving.ToArray();
            member.State = SimulatedState.Read(state);
            if (member.State.Applied != position.Index) throw new BrokenPromiseException($"a snapshot of {position.Index} holds the state of {member.State.Applied}");
            _invariants.AppliedBy(member);
            member.Disk.Snapshot = new SimulatedSnapshot(position, member.Raft!.ArrivingMembers, state);
        }
        Step(member, new SnapshotInstalled(position, good));
        AnswerApplied(member);
    }

    private void Crash(SimulatedMember member, long downFor)
    {
        if (member.Raft is null) return;
        Log($"{member.Id} crashes");
        member.Raft = null;
        member.Life++;
        member.Disk.Crash(_chance);
        member.Requests.Clear();
        member.AwaitingApply.Clear();
        At(_time + downFor, new Event(What.Restart, IndexOf(member.Id), 0, null));
    }

    private static int IndexOf(MemberId id) => (int)id.Value - 1;

    private void At(long time, Event what) => _events.Enqueue(what, (time, _order++));

    private static long OfThoseThatReplied(Span<long> values)
    {
        var replied = values[..values.Length];
        replied.Sort();
        var unknown = 0;
        while (unknown < replied.Length && replied[unknown] == 0) unknown++;
        replied = replied[unknown..];
        return values.Length > 1 && replied.Length < 2 ? 0 : Quorum.Reached(replied);
    }

    private void Log(string what) => _trace?.Append(_time).Append(' ').AppendLine(what);

    private static string Show(Input input) => input switch
    {
        Received received => Show(received.Message),
        _ => input.ToString(),
    };

    private static string Show(Message message) => message is Append append
        ? $"{append.From} append term {append.Term} after {append.Previous} [{string.Join(' ', append.Entries.Select(entry => $"{entry.Index}@{entry.Term}{(entry.Kind == EntryKind.Membership ? Membership.Read(entry.Payload) : "")}"))}] commit {append.Commit} session {append.Session}"
        : message.ToString();

    private string Describe() => string.Join("; ", _members.Select(member => member.Raft is not { } raft ? $"{member.Id} down"
        : $"{member.Id} {raft.Role} of {raft.Leader} term {raft.Term} commit {raft.Commit} applied {member.State.Applied} last {raft.Last.Index} {raft.ActiveMembers}{(raft.IsRemoved ? " removed" : "")}"));

    private enum What : byte
    {
        Tick,
        Deliver,
        Flushed,
        Completed,
        Apply,
        SnapshotOnDisk,
        Install,
        Input,
        Restart,
        Client,
        Timeout,
        Fault,
        Uncut,
        Heal,
    }

    private readonly record struct Event(What What, int Member, int Life, object? Content);
}
