namespace Aisle.Ledger.Consensus;

// A follower's side of replication.
internal sealed partial class Raft
{
    private void TakeIn(Append append)
    {
        if (append.Previous.Index > Commit && !_log.Has(append.Previous))
        {
            // Rule 12: the last entry that can be the leader's, with its term.
            Send(new AppendReply(Self, append.From, Term, append.Session, append.Round, Accepted: false, append.Previous.Index, _log.LastPossible(append.Previous)));
            return;
        }
        foreach (var entry in append.Entries)
        {
            var term = _log.TermAt(entry.Index);
            if (term == entry.Term || entry.Index <= _log.Base.Index) continue;
            if (term >= 0)
            {
                // Rule 10: cut where terms differ, never because a message is short, and never what is committed.
                if (entry.Index <= Commit) throw Diverged($"Entry {entry.Index} of term {term} is committed here, and {append.From} has it with term {entry.Term}.");
                Truncate(entry.Index);
            }
            Write(entry);
        }
        if (append.Previous.Index <= Commit && append.Previous.Index >= _log.Base.Index && !_log.Has(append.Previous))
        {
            throw Diverged($"Entry {append.Previous.Index} is committed here with another term than {append.Previous.Term}, which {append.From} has.");
        }
        // Rule 9: what this message proved, not where the own log ends: what follows may be another leader's.
        Prove(append.Proven);
        CommitThrough(Math.Min(append.Commit, append.Proven));
        var reply = new AppendReply(Self, append.From, Term, append.Session, append.Round, Accepted: true, append.Proven, default);
        // A heartbeat promises nothing that was not promised before: a slow disk does not make this member look dead (Rule 6).
        if (append.Proven <= _durable && _savedTerm == Term) Send(reply);
        else SendWhenDurable(reply);
    }

    private void Prove(long index) => _proven = Math.Max(_proven, index);
}
