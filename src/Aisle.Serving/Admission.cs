namespace Aisle.Serving;

/// <summary>Lets a fixed number of requests run and a bounded number wait; whoever comes beyond that is turned away at once. Thread-safe.</summary>
internal sealed class Admission(int running, int waiting) : IDisposable
{
    private readonly SemaphoreSlim _slots = new(running);
    private int _inside;

    /// <summary>Requests that run or wait.</summary>
    public int Inside => Volatile.Read(ref _inside);

    /// <summary>Waits for a slot.</summary>
    /// <returns>Dispose it to free the slot; null when too many wait already.</returns>
    /// <exception cref="OperationCanceledException">The caller gave up; its place is free again.</exception>
    public async Task<Slot?> EnterAsync(CancellationToken cancellationToken)
    {
        if (Interlocked.Increment(ref _inside) > running + waiting)
        {
            Interlocked.Decrement(ref _inside);
            return null;
        }

        try
        {
            await _slots.WaitAsync(cancellationToken);
            return new Slot(this);
        }
        catch
        {
            Interlocked.Decrement(ref _inside);
            throw;
        }
    }

    public void Dispose() => _slots.Dispose();

    internal sealed class Slot(Admission admission) : IDisposable
    {
        private Admission? _admission = admission;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _admission, null) is not { } left) return;
            Interlocked.Decrement(ref left._inside);
            left._slots.Release();
        }
    }
}
