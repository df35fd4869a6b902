namespace Aisle.Ledger.Consensus;

// Rule 5: no writes and no reads while leadership is handed over; the target stands at once if its log is complete; a deadline ends it.
internal sealed partial class Raft
{
    private MemberId _transferTo;
    private long _transferEnds;
    private bool _handedOver;   // in this term: somebody may stand at any moment, so the lease is void (Rule 27)

    private void Take(Transfer transfer)
    {
        if (Role != Role.Leader || transfer.To == Self || !Members.Votes(transfer.To) || PeerOf(transfer.To) is null) return;
        _transferTo = transfer.To;
        _transferEnds = _now + _pace.ElectionMinimum;
        HandOver();
    }

    private void HandOver()
    {
        if (_transferTo == MemberId.Nobody || PeerOf(_transferTo) is not { } peer || peer.Match != _log.Last.Index) return;
        _handedOver = true;
        Send(new TakeOver(Self, _transferTo, Term, _log.Last));
    }

    private void EndTransferInTime()
    {
        if (_now >= _transferEnds) _transferTo = MemberId.Nobody;
    }

    private void TakeIn(TakeOver takeOver)
    {
        if (Role == Role.Follower && Leader == takeOver.From && _log.Last == takeOver.Last && MayStand) Campaign(Ballot.Transfer);
    }
}
