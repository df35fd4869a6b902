using System.Runtime.CompilerServices;

namespace Aisle.Ledger;

/// <summary>The state that a member has come to, and who waits for it or watches it. One writer; reading is safe from many threads.</summary>
internal sealed class AppliedState(LedgerState state, int historyChanges)
{
    private const int ChangesAtOnce = 1000;

    private LedgerState _state = state;
    private ChangeHistory _history = new(historyChanges, state.Revision);
    private TaskCompletionSource _changed = NewSignal();

    public LedgerState State => Volatile.Read(ref _state);

    /// <summary>The next state, and all that changed on the way to it.</summary>
    public void Publish(LedgerState state, IReadOnlyList<LedgerChange> changes)
    {
        Volatile.Write(ref _state, state);
        _history.Add(changes, state.Revision);
        Interlocked.Exchange(ref _changed, NewSignal()).SetResult();
    }

    /// <summary>A later state, without what changed on the way: watchers are cut off with their place.</summary>
    public void Replace(LedgerState state)
    {
        Volatile.Write(ref _state, state);
        Volatile.Write(ref _history, new ChangeHistory(historyChanges, state.Revision));
        Interlocked.Exchange(ref _changed, NewSignal()).SetResult();
    }

    /// <summary>Nothing is published any more: who waits fails.</summary>
    public void End(AisleException failure)
    {
        var signal = Volatile.Read(ref _changed);
        signal.TrySetException(failure);
        _ = signal.Task.Exception;   // seen: nobody has to be waiting
    }

    public async Task<LedgerState> WaitPastAsync(long revision, CancellationToken cancellationToken)
    {
        while (true)
        {
            // The signal first, then the state: a change in between has already set this signal.
            var changed = Volatile.Read(ref _changed);
            var state = State;
            if (state.Revision > revision) return state;
            await changed.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    public async IAsyncEnumerable<LedgerWatchEvent> WatchAsync(long revision, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var begun = false;
        while (true)
        {
            var changed = Volatile.Read(ref _changed);
            var history = Volatile.Read(ref _history);
            var found = history.Since(revision, ChangesAtOnce);
            if (found is null)
            {
                if (begun)
                {
                    yield return new WatchCutOff(revision);
                    yield break;
                }
                var (oldest, state) = (history.Oldest, State);
                revision = state.Revision;
                begun = true;
                yield return new WatchedSnapshot(oldest, state);
                continue;
            }
            begun = true;
            if (found.Revision == revision) await changed.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
            else
            {
                revision = found.Revision;
                if (found.Changes.Count > 0) yield return found;
            }
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
