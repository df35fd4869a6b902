namespace Aisle.Ledger.Consensus;

/// <summary>How long silence is usual here. Elections wait for three times the longest that was seen lately: a busy machine is not a dead leader.</summary>
internal sealed class Pace(RaftSettings settings)
{
    private long _longest;

    /// <summary>Silence of a leader that means something, in ticks.</summary>
    public long ElectionMinimum => Math.Clamp(3 * _longest, settings.ElectionMinimum, settings.ElectionMaximum);

    /// <summary>Time between two messages of a leader, a round trip, or a pause of this process. A long one is believed at once and forgotten slowly.</summary>
    public void Saw(long silence) => _longest = silence >= _longest ? silence : _longest - (_longest - silence + 15) / 16;

    /// <summary>What chance adds to one election's wait: a function of the seed, so that a run repeats.</summary>
    public long Spread(MemberId member, long term, long attempt)
    {
        var x = settings.Seed + member.Value * 0x9E3779B97F4A7C15 + (ulong)term * 0xBF58476D1CE4E5B9 + (ulong)attempt * 0x94D049BB133111EB;
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;   // splitmix64, Steele, Lea and Flood 2014
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
        return (long)((x ^ (x >> 31)) % (ulong)settings.ElectionSpread);
    }
}
