using System.Runtime.CompilerServices;

namespace Aisle.Ledger;

/// <summary>Watching: every change in order, none twice, from any revision that is still in the history.</summary>
public sealed partial class LedgerMember
{
    private const int ChangesAtOnce = 1000;

    private readonly ChangeHistory _history;

    public async IAsyncEnumerable<LedgerWatchEvent> WatchAsync(long revision, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var begun = false;
        while (true)
        {
            // The signal first, then the history: a change in between has already set this signal.
            var changed = Volatile.Read(ref _changed);
            var found = _history.Since(revision, ChangesAtOnce);
            if (found is null)
            {
                if (begun)
                {
                    yield return new WatchCutOff(revision);
                    yield break;
                }
                var oldest = _history.Oldest;
                var state = State;
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
}
