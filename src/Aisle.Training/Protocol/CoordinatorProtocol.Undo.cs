using Aisle.Artifacts;

namespace Aisle.Training.Protocol;

/// <summary>Undoing steps that a wrong worker had a part in: back to a state from before, and the same way again without it.</summary>
public sealed partial class CoordinatorProtocol
{
    private readonly List<(long Step, Digest Digest, StateHash Hash)> _stored = []; // in this run, in rising order
    private StateReport _committed; // of state _reached
    private long _generation; // grows with every going back: a state of an older one may be spoilt

    /// <param name="backTo">The newest state that is right.</param>
    /// <param name="mayKeep">Workers may go on from their own states, if none can be newer than that.</param>
    private void GoBack(long backTo, bool mayKeep, TimeSpan now)
    {
        if (_over) return;
        foreach (var undone in _agreed.Keys.Where(state => state > backTo).ToList()) _agreed.Remove(undone);
        _generation++; // also where states are kept: a wrong worker may be storing its own at this moment
        if (_running)
        {
            var latest = _plans.Keys.Last();
            var newest = _audit is { IsCleared: false } audit && audit.Step == latest ? latest : latest + 1; // that anyone may have made meanwhile
            if (mayKeep && newest <= backTo)
            {
                Restart(isKept: true, now);
                return;
            }
        }
        WithdrawWhere(stored => stored.Step > backTo);
        var start = _newest?.Step ?? 0;
        foreach (var name in _clean.Keys.ToList()) _clean[name] = Math.Min(_clean[name], start);
        _proven.Clear();
        Restart(isKept: false, now);
    }

    /// <summary>Ends all plans and begins again with whoever is there, from the workers' own states or from what is stored.</summary>
    private void Restart(bool isKept, TimeSpan now)
    {
        Disband();
        _gatheringSince = now;
        if (!isKept)
        {
            foreach (var member in _members.Values) member.Kept = null;
        }
        else if (_committed != default && _members.Values.Any(member => member.Kept is { } kept && kept.State == _reached && !kept.Report.Hash.Agrees(_committed.Hash)))
        {
            _reached--; // a wrong worker was the first to have the state: it is announced anew, as it should be
        }
        var present = _members.Values.Where(member => !member.IsSuspect).ToList();
        if (present.Count > 0) Begin(present, now);
        else if (!isKept) (_reached, _gatheringSince) = (_newest?.Step ?? 0, null);
    }

    private void WithdrawWhere(Predicate<(long Step, Digest Digest, StateHash Hash)> isSpoilt)
    {
        foreach (var spoilt in _stored.FindAll(isSpoilt))
        {
            _stored.Remove(spoilt);
            _effects.Add(new CoordinatorEffect.Withdrawn(spoilt.Step, spoilt.Digest));
        }
        _newest = _stored.Count > 0 ? (_stored[^1].Step, _stored[^1].Digest) : rules.ResumeFrom;
    }

    private void ForgetStep()
    {
        _audit = null;
        _disputed = null;
        _votes.Clear();
        _finished = null;
    }
}
