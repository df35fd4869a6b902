using System.Buffers;
using System.Collections.Immutable;
using System.Diagnostics;
using Aisle.Ledger.Consensus;
using Aisle.Ledger.Node;

namespace Aisle.Ledger;

/// <summary>The one thread that steps the core, carries out what it asks for, and applies.</summary>
public sealed partial class LedgerNode
{
    // More wait for their turn and share the next: a short window with large batches gives more than a long one with small ones.
    private const int MostBatchesUnderWay = 2;

    private readonly Dictionary<long, object> _asked = [];            // batches, reads and changes that the core has, by their number
    private readonly Dictionary<LogPosition, Batch> _committed = [];  // until they are applied
    private readonly List<Asking> _waiting = [];                      // for a leader
    private LedgerNodeStatus _status;
    private Membership? _members;                                     // that the status shows
    private ImmutableArray<ulong> _voters, _learners;
    private LogPosition _newestSnapshot, _lastApplied;
    private long _lastAsked;
    private int _batches;
    private long _bytesSinceSnapshot, _snapshotBytes;
    private bool _isMakingSnapshot;
    private bool _ticked;

    private void Run()
    {
        try
        {
            while (true)
            {
                _wake.WaitOne();
                if (Volatile.Read(ref _stopping) || Volatile.Read(ref _failure) is not null) return;
                while (_happened.TryDequeue(out var what)) Take(what);
                for (var n = 0; n < 256 && _arrived.Reader.TryRead(out var message); n++) _raft.Step(Now, new Received(message));
                if (_arrived.Reader.TryPeek(out _)) _wake.Set();
                if (Interlocked.Exchange(ref _ticked, false)) _raft.Step(Now, Tick.Now);
                Ask();
                do Carry();
                while (Propose());
                PublishStatus();
            }
        }
        catch (Exception e)
        {
            End(e as AisleException ?? new AisleException(LedgerCodes.WriteFailed, $"The ledger in {_directory} cannot go on: {e.Message}",
                "Start it again. What was acknowledged is kept. If it ends again, report this.", e));
        }
    }

    private void Take(object what)
    {
        switch (what)
        {
            case Input input: _raft.Step(Now, input); break;
            case Asking asking: _waiting.Add(asking); break;
            case SnapshotKept kept: Take(kept); break;
            case SnapshotArrived arrived: Take(arrived); break;
            default: throw new UnreachableException($"No rule for {what.GetType().Name}; give LedgerNode.Take one.");
        }
    }

    private void Carry()
    {
        while (_raft.TryTake(out var ready))
        {
            foreach (var message in ready.Send) _peers.Send(message);
            if (ready.Persist is { } persist) _writer.Add(persist);
            foreach (var chunk in ready.Store) _snapshots.Store(chunk);
            if (ready.Install is { } position) _snapshots.Install(position);
            foreach (var wanted in ready.Chunks) _snapshots.Serve(wanted);
            PublishStatus();
            foreach (var answer in ready.Answers) Take(answer);   // before applying: it tells whose the entries are
            if (!ready.Apply.IsEmpty) Apply(ready.Apply);
        }
    }

    private void Apply(ImmutableArray<Entry> entries)
    {
        var state = State;
        var changes = new List<LedgerChange>();
        var answered = new List<(Proposal Proposal, LedgerAnswer Answer)>();
        foreach (var entry in entries)
        {
            _bytesSinceSnapshot += entry.Payload.Length;
            if (entry.Kind != EntryKind.Commands) continue;
            _committed.Remove(entry.Position, out var batch);
            var commands = batch?.Commands ?? LedgerCodec.ReadBatch(entry.Payload.Span);
            for (var i = 0; i < commands.Length; i++)
            {
                var before = state;
                (state, var answer) = state.Apply(commands[i]);
                LedgerChanges.Add(before, commands[i], state, changes);
                if (batch is not null && i >= Batch.Stamps) answered.Add((batch.Proposals[i - Batch.Stamps], answer));
            }
            if (batch is not null) _batches--;
        }
        // The state before the answers: who has an answer sees its effect.
        _applied.Publish(state, changes);
        foreach (var (proposal, answer) in answered) proposal.Answer.TrySetResult(answer);
        _lastApplied = entries[^1].Position;
        _raft.Step(Now, new Applied(_lastApplied.Index));
        SnapshotWhenDue();
    }

    private void SnapshotWhenDue()
    {
        // A large state is written less often, so that snapshots never cost more than the log itself.
        if (_isMakingSnapshot || _bytesSinceSnapshot < Math.Clamp(_snapshotBytes, _options.Ledger.SegmentBytes, LedgerOptions.MaxSegmentBytes)) return;
        (_isMakingSnapshot, _bytesSinceSnapshot) = (true, 0);
        _snapshots.Make(_lastApplied, _raft.MembersAt(_lastApplied.Index).ToBytes(), State);
    }

    /// <summary>The newest two snapshots stay, and the log after the older one: it serves peers that are behind, and should the newest go bad, nothing is lost.</summary>
    private void Take(SnapshotKept kept)
    {
        (_isMakingSnapshot, _snapshotBytes) = (false, kept.Bytes);
        if (kept.Position.Index <= _newestSnapshot.Index) return;   // overtaken by one from the leader
        _raft.Step(Now, new SnapshotMade(kept.Position, _newestSnapshot.Index));
        _writer.Cut(kept.Position, _newestSnapshot.Index);
        _newestSnapshot = kept.Position;
    }

    private void Take(SnapshotArrived arrived)
    {
        if (arrived.State is { } state)
        {
            _applied.Replace(state);
            (_newestSnapshot, _lastApplied, _bytesSinceSnapshot) = (arrived.Position, arrived.Position, 0);
            // Rule 21: the snapshot covers what was waited for, and its answers are not in it.
            foreach (var (position, batch) in _committed.Where(batch => batch.Key.Index <= arrived.Position.Index).ToList())
            {
                _committed.Remove(position);
                Fail(batch, Unknown());
            }
        }
        _raft.Step(Now, new SnapshotInstalled(arrived.Position, arrived.State is not null));
    }

    /// <summary>Hands what waits for a leader to the core when this member leads. When another one does, or nobody for too long, it fails.</summary>
    private void Ask()
    {
        if (_waiting.Count > 0)
        {
            foreach (var asking in _waiting)
            {
                if (asking.Answer.Task.IsCompleted) continue;
                if (_raft.Role == Role.Leader)
                {
                    _asked.Add(++_lastAsked, asking);
                    _raft.Step(Now, asking is Changing change ? new ChangeMembers(_lastAsked, change.Change, change.Member) : new Read(_lastAsked));
                }
                else if (WhyNotLed(asking.Since) is { } failure) asking.Answer.TrySetException(failure);
            }
            _waiting.RemoveAll(asking => asking.Answer.Task.IsCompleted || _raft.Role == Role.Leader);
        }
        if (_raft.Role == Role.Leader) return;
        while (_proposals.Reader.TryPeek(out var first) && WhyNotLed(first.Since) is { } failure)
        {
            _proposals.Reader.TryRead(out _);
            first.Answer.TrySetException(failure);
        }
    }

    private AisleException? WhyNotLed(long since)
    {
        if (_raft.Leader != MemberId.Nobody && _raft.Leader != _raft.Self) return new NotLeaderException(_raft.Self.Value, _raft.Leader.Value);
        if (Now - since <= _options.LeaderWait.TotalMilliseconds) return null;
        return new AisleException(LedgerCodes.NoLeader, $"Member {_raft.Self} of {_raft.ActiveMembers} waited {_options.LeaderWait.TotalSeconds:0.#} s for a leader.",
            "See that a majority of the members runs and can be reached, then ask again.");
    }

    /// <summary>Packs what waits into one entry, the ledger's time first.</summary>
    /// <returns>False when there is nothing to propose, or enough under way.</returns>
    private bool Propose()
    {
        if (_raft.Role != Role.Leader || _batches >= MostBatchesUnderWay) return false;
        var time = _options.Time.GetUtcNow();
        // Without any command too, when something is due to expire.
        if (!_proposals.Reader.TryPeek(out _) && (_batches > 0 || time < State.NextExpiry)) return false;
        var stamp = LedgerCodec.Write(new AdvanceTime { At = time });
        var (proposals, commands) = (new List<Proposal>(), ImmutableArray.CreateBuilder<LedgerCommand>());
        var array = new ArrayBufferWriter<byte>();
        array.Write("["u8);
        array.Write(stamp);
        commands.Add(LedgerCodec.ReadCommand(stamp));
        while (proposals.Count < _options.Ledger.MaxBatchCommands && _proposals.Reader.TryPeek(out var next)
            && (proposals.Count == 0 || array.WrittenCount + next.Bytes.Length <= LedgerOptions.MaxBatchBytes))
        {
            _proposals.Reader.TryRead(out _);
            array.Write(","u8);
            array.Write(next.Bytes.Span);
            proposals.Add(next);
            commands.Add(next.Command);
        }
        array.Write("]"u8);
        _asked.Add(++_lastAsked, new Batch(proposals, commands.ToImmutable()));
        _batches++;
        _raft.Step(Now, new Propose(_lastAsked, array.WrittenMemory));
        return true;
    }

    private void Take(Answer answer)
    {
        if (!_asked.Remove(answer.Id, out var asked)) return;
        switch (asked, answer.Verdict)
        {
            case (Batch batch, Verdict.Done): _committed.Add(answer.Position, batch); break;
            case (Batch batch, _): Fail(batch, Failure(answer)); break;
            case (Asking asking, Verdict.Done): asking.Answer.TrySetResult(State); break;
            case (Asking asking, _): asking.Answer.TrySetException(Failure(answer)); break;
        }
    }

    private void Fail(Batch batch, AisleException failure)
    {
        _batches--;
        foreach (var proposal in batch.Proposals) proposal.Answer.TrySetException(failure);
    }

    private AisleException Failure(Answer answer) => answer.Verdict switch
    {
        Verdict.Unknown => Unknown(),
        Verdict.NotLeader => new NotLeaderException(_raft.Self.Value, answer.Leader == _raft.Self ? 0 : answer.Leader.Value),
        Verdict.Busy => new AisleException(LedgerCodes.Busy, $"The leader {_raft.Self} is busy or hands over.", "Nothing was done. Ask again soon."),
        var refused => new AisleException(LedgerCodes.ChangeRefused, $"The members {_raft.ActiveMembers} were not changed: {refused switch
        {
            Verdict.ChangeTooEarly => "the change before is not finished",
            Verdict.NotCaughtUp => "the learner has not caught up",
            Verdict.NoLiveMajority => "too few of the members after it can be reached",
            _ => "the member is not what the change asks for",
        }}.", refused == Verdict.UnfitMember ? "Look at the members in LedgerNode.Status." : "Ask again soon."),
    };

    private AisleException Unknown() => new(LedgerCodes.OutcomeUnknown, $"Member {_raft.Self} lost the lead before the command was agreed on: it may run or not.",
        "Ask again in its session, with its sequence: it runs once.");

    private void PublishStatus()
    {
        if (_status.Applied != _lastApplied.Index || _status.Committed != _raft.Commit || _status.Term != _raft.Term || _status.Leader != _raft.Leader.Value
            || !ReferenceEquals(_members, _raft.ActiveMembers)) Volatile.Write(ref _status, TakeStatus());
    }

    private LedgerNodeStatus TakeStatus()
    {
        if (!ReferenceEquals(_members, _raft.ActiveMembers))
        {
            _members = _raft.ActiveMembers;
            (_voters, _learners) = ([.. _members.Voters.Select(voter => voter.Value)], [.. _members.Learners.Select(learner => learner.Value)]);
        }
        return new(_raft.Self.Value, _raft.Leader.Value, _raft.Term, _raft.Commit, _lastApplied.Index, _voters, _learners);
    }

    private void EndByDisk(Exception e) => End(new AisleException(LedgerCodes.WriteFailed, $"The ledger in {_directory} cannot write any more: {e.Message}",
        "Make room on the disk or repair it, then start again. What was acknowledged is kept.", e));

    /// <summary>Nothing is agreed on from here on: everything that waits, now and later, fails with <paramref name="failure"/>. Peers hear no more.</summary>
    private void End(AisleException failure)
    {
        failure = Interlocked.CompareExchange(ref _failure, failure, null) ?? failure;
        Wake();
        if (Thread.CurrentThread != _loop) _loop.Join();
        _proposals.Writer.TryComplete();
        _arrived.Writer.TryComplete();
        while (_proposals.Reader.TryRead(out var proposal)) proposal.Answer.TrySetException(failure);
        foreach (var asked in _asked.Values)
        {
            if (asked is Asking asking) asking.Answer.TrySetException(failure);
            else foreach (var proposal in ((Batch)asked).Proposals) proposal.Answer.TrySetException(failure);
        }
        foreach (var batch in _committed.Values) foreach (var proposal in batch.Proposals) proposal.Answer.TrySetException(failure);
        foreach (var asking in _waiting.Concat(_happened.OfType<Asking>())) asking.Answer.TrySetException(failure);
        _applied.End(failure);
        if (failure.Code == LedgerCodes.Stopped) _ended.TrySetResult();
        else _ended.TrySetException(failure);
        _ = _ended.Task.Exception;
    }

    /// <summary>Commands that share an entry.</summary>
    private sealed record Batch(List<Proposal> Proposals, ImmutableArray<LedgerCommand> Commands)
    {
        /// <summary>The leader's stamp comes first.</summary>
        public const int Stamps = 1;
    }
}
