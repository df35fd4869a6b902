namespace Aisle.Ledger.Consensus;

internal enum Flow : byte
{
    /// <summary>Where the logs part is not known: one message at a time.</summary>
    Probe,

    /// <summary>Logs agree: messages follow each other without waiting.</summary>
    Replicate,

    /// <summary>What it needs is no longer in the log.</summary>
    Snapshot,
}

/// <summary>What a leader knows of one other member, for one term at most.</summary>
/// <param name="session">Comes back with each answer, so that one to an earlier session is not taken for one to this.</param>
internal sealed class Progress(RaftSettings settings, long session, long next, long now)
{
    private readonly Queue<(long Index, int Bytes)> _inFlight = [];
    private long _inFlightBytes;
    private bool _probeSent;

    public long Session => session;

    public Flow Flow { get; private set; }

    /// <summary>Its log is the leader's up to here and on its disk: it said so. Never falls.</summary>
    public long Match { get; private set; }

    /// <summary>The entry to send next.</summary>
    public long Next { get; private set; } = next;

    /// <summary>The newest read round that it answered.</summary>
    public long Round { get; set; }

    /// <summary>When it last answered.</summary>
    public long HeardAt { get; set; } = now;

    /// <summary>Of the entries it has, those up to here it was told to be committed.</summary>
    public long Told { get; private set; }

    /// <summary>Since when something sent is not answered.</summary>
    public long WaitingSince { get; private set; } = now;

    /// <summary>The snapshot that is being sent, and what of it comes next.</summary>
    public LogPosition Snapshot { get; private set; }

    public Membership SnapshotMembers { get; private set; } = Membership.None;

    public long Offset { get; private set; }

    // Rule 30: bounded in messages and in bytes. Heartbeats are no part of it: an empty one always passes.
    public bool MaySend => Flow switch
    {
        Flow.Probe => !_probeSent,
        Flow.Replicate => _inFlight.Count < settings.MaxInFlightMessages && _inFlightBytes < settings.MaxInFlightBytes,
        _ => false,
    };

    public bool IsOverdue(long now) => now - WaitingSince >= settings.ResendAfter && (Flow == Flow.Snapshot || _probeSent || _inFlight.Count > 0);

    public void Sent(long through, int bytes, long now)
    {
        if (Flow == Flow.Probe)
        {
            _probeSent = true;
            WaitingSince = now;
            return;
        }
        if (_inFlight.Count == 0) WaitingSince = now;
        _inFlight.Enqueue((through, bytes));
        _inFlightBytes += bytes;
        Next = through + 1;
    }

    public void ToldOf(long commit, long proven) => Told = Math.Max(Told, Math.Min(commit, proven));

    /// <summary>It has everything up to <paramref name="index"/>.</summary>
    public void Accept(long index, LogPosition logBase, long now)
    {
        while (_inFlight.TryPeek(out var oldest) && oldest.Index <= index)
        {
            _inFlightBytes -= oldest.Bytes;
            _inFlight.Dequeue();
        }
        var proved = index > Match || Flow != Flow.Snapshot && index >= Next - 1;
        if (proved) WaitingSince = now;
        Match = Math.Max(Match, index);   // Rule 9
        // Rule 22: a snapshot has done its work as soon as the log can go on from what the follower has, wherever it got that from.
        if (Flow == Flow.Snapshot && Match < logBase.Index) return;
        if (Flow != Flow.Replicate && (proved || Flow == Flow.Snapshot))
        {
            Flow = Flow.Replicate;
            Next = Match + 1;
        }
        Next = Math.Max(Next, Match + 1);
    }

    /// <summary>Begins to look for where the logs part, at <paramref name="from"/>.</summary>
    public void Probe(long from)
    {
        Flow = Flow.Probe;
        Next = Math.Max(1, from);
        Forget();
    }

    public void SendSnapshot(LogPosition snapshot, Membership members, long now)
    {
        Flow = Flow.Snapshot;
        (Snapshot, SnapshotMembers, Offset) = (snapshot, members, 0);
        Forget();
        WaitingSince = now;
    }

    public void ChunkSent(long offset, long now) => (Offset, WaitingSince) = (offset, now);

    /// <summary>A probe that got no answer may go again.</summary>
    public void Retry() => _probeSent = false;

    private void Forget()
    {
        _inFlight.Clear();
        _inFlightBytes = 0;
        _probeSent = false;
    }
}
