namespace Aisle.Identity;

/// <summary>Why someone was turned away: a stable code, what happened with its values, and the next step. Never holds a secret.</summary>
public sealed record Refusal(string Code, string What, string Next)
{
    public AisleException ToException(Exception? inner = null) => new(Code, What, Next, inner);

    public static Refusal From(AisleException error) => new(error.Code, error.What, error.Next);
}

/// <summary>Counts who was turned away, by code, and tells a listener. Thread-safe; the listener must be quick and must not throw.</summary>
public sealed class RefusalLog(Action<Refusal, string>? listener = null)
{
    private readonly Lock _gate = new(); // guards _counts
    private readonly Dictionary<string, long> _counts = []; // as many entries as there are codes: peers cannot make it grow

    public long Total
    {
        get { lock (_gate) return _counts.Values.Sum(); }
    }

    public long Count(string code)
    {
        lock (_gate) return _counts.GetValueOrDefault(code);
    }

    /// <param name="from">Where the peer was, for the log: an address, or a name.</param>
    public void Record(Refusal refusal, string from)
    {
        lock (_gate) _counts[refusal.Code] = _counts.GetValueOrDefault(refusal.Code) + 1;
        listener?.Invoke(refusal, from);
    }
}
