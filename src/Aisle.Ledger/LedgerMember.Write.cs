using System.Buffers;
using Aisle.Ledger.Consensus;
using Aisle.Ledger.Log;

namespace Aisle.Ledger;

/// <summary>The one loop that writes: batch, append, flush, apply, answer; and between batches, segments and snapshots.</summary>
public sealed partial class LedgerMember
{
    private readonly WriteAheadLog _log;
    private readonly List<Proposal> _batch = [];
    // There is one member, and so one term.
    private const long Term = 1;

    private Task<long>? _snapshot;          // the one being written, of entry _snapshotPosition
    private LogPosition _snapshotPosition;
    private long _newestSnapshot;           // the newest whole one; 0 without
    private long _rollAt;

    private async Task WriteAsync()
    {
        try
        {
            while (await _queue.Reader.WaitToReadAsync().ConfigureAwait(false))
            {
                _log.Append(null, null, [new Entry(Term, _log.Last.Index + 1, EntryKind.Commands, Gather())]);
                _log.Flush();
                ApplyAndAnswer();
                // Only when nobody waits: under load the next batch proves this one flushed just as well.
                if (!_queue.Reader.TryPeek(out _)) _log.Seal();
                if (_snapshot is { IsCompleted: true }) await FinishSnapshotAsync().ConfigureAwait(false);
                if (_log.SegmentBytes >= _rollAt) await RollAsync().ConfigureAwait(false);
            }
            if (_snapshot is not null) await FinishSnapshotAsync().ConfigureAwait(false);
        }
        // Whatever it is, the next write could build on one that never reached the disk. No retry: a second flush may claim what the first one lost.
        catch (Exception e)
        {
            End(new AisleException(LedgerCodes.WriteFailed, $"The ledger in {_directory} cannot write any more: {e.Message}",
                "Make room on the disk or repair it, then start again. What was acknowledged is kept.", e));
        }
    }

    /// <summary>Takes what waits, and gives its bytes: a JSON array of commands.</summary>
    private ReadOnlyMemory<byte> Gather()
    {
        _batch.Clear();
        var array = new ArrayBufferWriter<byte>();
        while (_batch.Count < _options.MaxBatchCommands && _queue.Reader.TryPeek(out var next)
            && (_batch.Count == 0 || array.WrittenCount + next.Bytes.Length <= LedgerOptions.MaxBatchBytes))
        {
            _queue.Reader.TryRead(out _);
            array.Write(_batch.Count == 0 ? "["u8 : ","u8);
            array.Write(next.Bytes.Span);
            _batch.Add(next);
        }
        array.Write("]"u8);
        return array.WrittenMemory;
    }

    private void ApplyAndAnswer()
    {
        var state = State;
        var answers = new LedgerAnswer[_batch.Count];
        var changes = new List<LedgerChange>();
        for (var i = 0; i < _batch.Count; i++)
        {
            var before = state;
            (state, answers[i]) = state.Apply(_batch[i].Command);
            LedgerChanges.Add(before, _batch[i].Command, state, changes);
        }
        // The state before the answers: who has an answer sees its effect.
        _applied.Publish(state, changes);
        for (var i = 0; i < answers.Length; i++) _batch[i].Answer.SetResult(answers[i]);
        _batch.Clear();
    }

    /// <summary>Begins a new segment, and a snapshot of all before it. At most one snapshot is under way: a disk too slow for that makes proposers wait,
    /// so the log cannot outgrow it.</summary>
    private async Task RollAsync()
    {
        if (_snapshot is not null) await FinishSnapshotAsync().ConfigureAwait(false);
        _log.Roll();
        var (position, state) = (_log.Last, State);
        _snapshotPosition = position;
        _snapshot = Task.Run(() => SnapshotFiles.Write(_disk, position, [], to => SnapshotCodec.Write(state, to)));
    }

    /// <summary>The newest two snapshots stay, and the log after the older one: should the newest go bad, the older and the log still give every entry.</summary>
    private async Task FinishSnapshotAsync()
    {
        var bytes = await _snapshot!.ConfigureAwait(false);
        _snapshot = null;
        _log.Mark(_snapshotPosition);
        _log.CutThrough(_newestSnapshot);
        SnapshotFiles.DeleteBefore(_disk, _newestSnapshot);
        _newestSnapshot = _snapshotPosition.Index;
        // A large state is written less often, so that snapshots never cost more than the log itself.
        _rollAt = Math.Clamp(bytes, _options.SegmentBytes, LedgerOptions.MaxSegmentBytes);
    }

    /// <summary>Nothing is written from here on: every proposal and wait, now and later, fails with <paramref name="failure"/>.</summary>
    private void End(AisleException failure)
    {
        failure = Interlocked.CompareExchange(ref _failure, failure, null) ?? failure;
        _queue.Writer.TryComplete();
        foreach (var proposal in _batch) proposal.Answer.TrySetException(failure);
        while (_queue.Reader.TryRead(out var proposal)) proposal.Answer.TrySetException(failure);
        _applied.End(failure);
    }
}
