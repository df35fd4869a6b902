using System.Collections.Immutable;
using System.Diagnostics;

namespace Aisle.Ledger.Consensus;

internal enum Role : byte
{
    Follower,
    PreCandidate,
    Candidate,
    Leader,
}

/// <summary>What a member starts with.</summary>
/// <param name="Snapshot">Where its snapshot stands, and <paramref name="Members"/> who was a member then. Without one: position 0, and the first member alone,
/// or <see cref="Membership.None"/> for one that is about to join.</param>
/// <param name="LogBase">The entry before the first of <paramref name="Entries"/>.</param>
internal sealed record RaftStart(HardState State, LogPosition Snapshot, Membership Members, LogPosition LogBase, IEnumerable<Entry> Entries);

/// <summary>
/// One member's rules for agreeing on the log. Give it what happens, carry out what it asks for. No clock, chance, disk or socket inside, so the same inputs give the
/// same outputs. Not thread-safe: one loop owns it. An exception is final: the member must stop.
/// </summary>
/// <remarks>Source: Ongaro, "Consensus: Bridging Theory and Practice", 2014. The numbered rules are those of docs/decisions/0016-raft.md.</remarks>
internal sealed partial class Raft
{
    private readonly RaftSettings _settings;
    private readonly RaftRules _rules;
    private readonly Pace _pace;
    private readonly LogView _log;
    private HardState _hard;
    private long _now;
    private long _applied;
    private long _handedOut;   // given out for applying
    private long _durable;     // the own log is on the own disk at least up to here
    private long _savedTerm;   // the newest term that is known to be on the own disk

    public Raft(MemberId self, RaftSettings settings, RaftStart start, EntryReader reader, long now, RaftRules? rules = null)
    {
        Self = self;
        _settings = settings.Checked();
        _rules = rules ?? RaftRules.Kept;
        _pace = new Pace(settings);
        _now = now;
        _log = new LogView(start.LogBase, reader);
        _members.Add((start.Snapshot.Index, start.Members));
        foreach (var entry in start.Entries) Remember(entry);
        _issued = _log.Last.Index;
        // The snapshot reached the disk and what the log has at its place did not, or is older: the log begins after it (Rule 21).
        if (!_log.Has(start.Snapshot)) Restart(start.Snapshot, start.Members);
        _snapshot = start.Snapshot;
        Commit = _applied = _handedOut = start.Snapshot.Index;
        _durable = _log.Last.Index;
        _hard = start.State;
        _savedTerm = Term;
        if (Term < _log.Last.Term) Save(new HardState(_log.Last.Term, MemberId.Nobody));   // a snapshot can be newer than the log's last flush
        // A leader may count on this member's word from before a restart for as long as the minimum: no vote before (Rule 27).
        _heardLeaderAt = now;
        WaitForElection();
        if (Members.Voters is [var only] && only == self) _electionAt = now;   // nobody to wait for
    }

    public MemberId Self { get; }

    public Role Role { get; private set; }

    /// <summary>Whom it follows; itself when it leads; nobody when it does not know.</summary>
    public MemberId Leader { get; private set; }

    public long Term => _hard.Term;

    /// <summary>What a majority has; only grows.</summary>
    public long Commit { get; private set; }

    public LogPosition Last => _log.Last;

    /// <summary>The own log is known to be on the own disk up to here.</summary>
    public long Durable => _durable;

    public LogPosition LogBase => _log.Base;

    /// <summary>A peer said that the cluster goes on without this member. It stands for no election until a leader speaks to it.</summary>
    public bool IsRemoved { get; private set; }

    /// <summary>Takes in what happened.</summary>
    /// <param name="now">Monotonic time in ticks; earlier than before counts as before.</param>
    /// <exception cref="AisleException">AISLE-2072: the member must stop.</exception>
    public void Step(long now, Input input)
    {
        Advance(now);
        switch (input)
        {
            case Tick: Elapse(); break;
            case Received { Message: var message }: if (message.To == Self && message.From != Self) Receive(message); break;
            case Propose propose: Take(propose); break;
            case Read read: Take(read); break;
            case ChangeMembers change: Take(change); break;
            case Transfer transfer: Take(transfer); break;
            case Persisted persisted: Note(persisted.Completion); break;
            case Applied applied: Note(applied); break;
            case SnapshotMade made: Note(made); break;
            case SnapshotInstalled installed: Note(installed); break;
            case SnapshotGone gone: Note(gone); break;
            case PeerUnreachable { Member: var member }: if (PeerOf(member) is { Flow: Flow.Replicate } peer) peer.Probe(peer.Match + 1); break;
            default: throw new UnreachableException($"No rule for {input.GetType().Name}; give Raft.Step one.");
        }
    }

    private void Advance(long now)
    {
        var pause = now - _now;
        if (pause <= 0) return;
        _now = now;
        if (pause <= _settings.ElectionMinimum / 2) return;
        // This process itself stood still. Nobody was silent who could not be heard, and what came meanwhile waits to be read.
        _pace.Saw(pause);
        _electionAt += pause;
        foreach (var peer in _peers.Values) peer.HeardAt = Math.Min(now, peer.HeardAt + pause);
    }

    private void Elapse()
    {
        if (Role == Role.Leader) Lead();
        else if (_now >= _electionAt) StandForElection();
    }

    private void Receive(Message message)
    {
        switch (message)
        {
            case VoteRequest ask: Consider(ask); return;
            case VoteReply reply: Tally(reply); return;
        }
        if (message.Term < Term)
        {
            // Rule 3: an old leader, or one that this member has left behind by standing for election, learns of the higher term. Rule 11: old replies end here.
            if (message is Append or SnapshotChunk) Send(new AppendReply(Self, message.From, Term, 0, 0, Accepted: false, 0, default));
            return;
        }
        if (message.Term > Term) Follow(message.Term, MemberId.Nobody);
        switch (message)
        {
            case Append append: Heed(append); TakeIn(append); break;
            case SnapshotChunk chunk: Heed(chunk); TakeIn(chunk); break;
            case AppendReply reply: TakeIn(reply); break;
            case SnapshotReply reply: TakeIn(reply); break;
            case TakeOver takeOver: TakeIn(takeOver); break;
            default: throw new UnreachableException($"No rule for {message.GetType().Name}; give Raft.Receive one.");
        }
    }

    /// <summary>A message that only the leader of this term can send.</summary>
    private void Heed(Message message)
    {
        if (Role == Role.Leader) throw Diverged($"{message.From} leads in term {Term} as well.");
        if (Role != Role.Follower || Leader != message.From) Follow(Term, message.From);
        else _pace.Saw(_now - _heardLeaderAt);
        IsRemoved = false;
        _heardLeaderAt = _now;
        WaitForElection();
    }

    private void Note(LogPosition completion)
    {
        // Rule 15: it counts in the term in which the write was begun, where nothing right is ever replaced, and never lowers what is known. What an older term
        // wrote may be gone again, even when an equal entry stands there now.
        if (completion.Term != Term) return;
        if (completion.Index > _log.Last.Index) throw Diverged($"The disk has entry {completion.Index} of term {Term}; the log ends at {_log.Last.Index}.");
        _durable = Math.Max(_durable, completion.Index);
        _savedTerm = Term;
        // Rule 13: term and vote are part of every write of the term. The own vote counts once it cannot be forgotten.
        if (Role == Role.Candidate) Count(Self);
        else if (Role == Role.Leader) CommitByMajority();
    }

    private void Note(Applied applied)
    {
        if (applied.Index <= _applied) return;
        _applied = Math.Min(applied.Index, _handedOut);
        _log.Trim(Math.Min(_applied, _durable), _settings.TailBytes);
        ReleaseReads();
    }

    private AisleException Diverged(string what) => new(LedgerCodes.Diverged, $"{Self} cannot go on: {what}",
        "Keep its directory for a report, and let the member join again with an empty one.");

    /// <summary>Term of the entry at <paramref name="index"/>; -1 when it is not in the log.</summary>
    public long TermAt(long index) => _log.TermAt(index);

    internal Progress? PeerOf(MemberId member) => _peers.GetValueOrDefault(member);
}
