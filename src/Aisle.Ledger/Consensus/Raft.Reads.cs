namespace Aisle.Ledger.Consensus;

// Rule 26: a read notes what is committed, a majority shows in a round begun later that this member still leads, and the state machine reaches what was noted.
internal sealed partial class Raft
{
    private readonly Queue<(long Round, long Began)> _rounds = [];
    private readonly Queue<(long Round, long Index, List<long> Ids)> _confirming = [];
    private readonly Queue<(long Index, List<long> Ids)> _applying = [];
    private List<long> _asked = [];   // in no round yet
    private int _waitingReads;
    private long _round;
    private long _leaseFrom = long.MinValue / 2;

    // Before the first commit of its term a leader does not know what is committed.
    private bool KnowsCommit => Commit >= _firstOfTerm;

    private bool HasLease => !_handedOver && _settings.ReadLease > 0 && _now - _leaseFrom < _settings.ReadLease;

    // Reads that come while a round is under way share the next one.
    private bool CanReadNow => KnowsCommit && (HasLease || _confirming.Count == 0);

    private void Take(Read read)
    {
        if (Role != Role.Leader) Answer(read.Id, Verdict.NotLeader);
        else if (_transferTo != MemberId.Nobody || _waitingReads >= _settings.MaxWaitingReads) Answer(read.Id, Verdict.Busy);   // Rule 5
        else
        {
            _asked.Add(read.Id);
            _waitingReads++;
        }
    }

    /// <summary>A heartbeat to all, with a number that none before had (Rule 26): reads that wait go with it, and with every later one.</summary>
    private void BeginRound()
    {
        var asked = _asked;
        if (asked.Count > 0 && KnowsCommit)
        {
            _asked = [];
            if (HasLease)
            {
                _applying.Enqueue((Commit, asked));   // Rule 27
                ReleaseReads();
                return;
            }
            _confirming.Enqueue((_round + 1, Commit, asked));
        }
        _round++;
        _roundAt = _now + _settings.Heartbeat;
        if (_rounds.Count < 64) _rounds.Enqueue((_round, _now));
        foreach (var (member, peer) in _peers) SendHeartbeat(member, peer);
        ConfirmReads();
    }

    private void ConfirmReads()
    {
        var confirmed = ReachedBy(static peer => peer.Round, _round);
        while (_rounds.TryPeek(out var round) && round.Round <= confirmed)
        {
            _rounds.Dequeue();
            _leaseFrom = round.Began;   // Rule 27: from the sending, not from the answer
            _pace.Saw(_now - round.Began);
        }
        while (_confirming.TryPeek(out var reads) && reads.Round <= confirmed)
        {
            _confirming.Dequeue();
            _applying.Enqueue((reads.Index, reads.Ids));
        }
        ReleaseReads();
    }

    private void ReleaseReads()
    {
        while (_applying.TryPeek(out var reads) && reads.Index <= _applied)
        {
            _applying.Dequeue();
            _waitingReads -= reads.Ids.Count;
            foreach (var id in reads.Ids) Answer(id, Verdict.Done, new LogPosition(Term, reads.Index));
        }
    }

    // Rule 26: nobody is left waiting.
    private void DropReads()
    {
        foreach (var id in _asked.Concat(_confirming.SelectMany(reads => reads.Ids)).Concat(_applying.SelectMany(reads => reads.Ids))) Answer(id, Verdict.Unknown);
        _asked.Clear();
        _confirming.Clear();
        _applying.Clear();
        _rounds.Clear();
        _waitingReads = 0;
        _leaseFrom = long.MinValue / 2;
    }
}
