using System.Text;
using Aisle.Ledger.Consensus;
using Aisle.Ledger.Log;

namespace Aisle.Ledger.Tests.Log;

/// <summary>What a log must hold, as plain as can be: the state of before the batch that is being flushed, and the one of after it.</summary>
internal sealed class LogModel(Random random)
{
    public static readonly LedgerIdentity Identity = new("0123456789abcdef0123456789abcdef", new MemberId(3));

    public sealed record Contents(HardState Hard, LogPosition Base, LogPosition Mark, System.Collections.Immutable.ImmutableList<Entry> Entries)
    {
        public static readonly Contents Empty = new(default, default, default, []);

        public LogPosition Last => Entries.IsEmpty ? Base : Entries[^1].Position;
    }

    public Contents Durable { get; private set; } = Contents.Empty;

    /// <summary>What the call under way would make of it.</summary>
    public Contents Wanted { get; private set; } = Contents.Empty;

    /// <summary>Carries out one random operation on the log. When it returns, what it wanted is durable.</summary>
    public void Step(WriteAheadLog log)
    {
        switch (random.Next(12))
        {
            case 0:
                log.Seal();
                break;
            case 1 when Durable.Entries.Count > 3:
                Mark(log, Durable.Entries[random.Next(Durable.Entries.Count)].Position);
                log.CutThrough(random.NextInt64(0, log.Marked.Index + 1));
                break;
            case 2 when random.Next(6) == 0:
                Mark(log, new LogPosition(Math.Max(1, Durable.Last.Term + random.Next(2)), Durable.Last.Index + random.Next(1, 20)));
                break;
            case 3 when random.Next(4) == 0:
                log.Roll();
                break;
            default:
                for (var more = true; more; more = random.Next(4) == 0) Append(log);
                log.Flush();
                Durable = Wanted;
                break;
        }
    }

    /// <summary>After a crash, one of the two states is there. It is the durable one now.</summary>
    public void Recovered(WriteAheadLog log, string what)
    {
        Assert.True(log.Damaged.Count == 0, $"{what}: damaged {string.Join(", ", log.Damaged)}");
        var was = Matches(log, Durable);
        var will = Matches(log, Wanted);
        Assert.True(was is null || will is null, $"{what}: neither what was flushed ({was}) nor what was being flushed ({will})");
        Durable = Wanted = was is null ? Durable : Wanted;
    }

    /// <summary>Null when the log holds just that; entries before its mark may be cut away.</summary>
    public static string? Matches(WriteAheadLog log, Contents contents)
    {
        if (log.HardState != contents.Hard) return $"hard state is {log.HardState}, not {contents.Hard}";
        if (log.Marked != contents.Mark) return $"mark is {log.Marked}, not {contents.Mark}";
        if (log.Last != contents.Last) return $"last is {log.Last}, not {contents.Last}";
        if (log.Base.Index > contents.Mark.Index) return $"entries up to {log.Base.Index} are gone, the mark is {contents.Mark}";
        if (log.Base.Index < contents.Base.Index) return $"begins at {log.Base}, not {contents.Base}";
        foreach (var entry in contents.Entries.Where(entry => entry.Index == log.Base.Index))
        {
            if (entry.Term != log.Base.Term) return $"base is {log.Base}, entry is {entry.Position}";
        }
        foreach (var entry in contents.Entries.Where(entry => entry.Index > log.Base.Index))
        {
            if (log.TermAt(entry.Index) is { } term && term != entry.Term) return $"term at {entry.Index} is {term}, not {entry.Term}";
        }
        for (var index = log.Base.Index + 1; index <= log.Last.Index;)
        {
            foreach (var read in log.Read(index, 2000))
            {
                var written = contents.Entries[(int)(index - contents.Base.Index - 1)];
                if (read.Position != written.Position || read.Kind != written.Kind || !read.Payload.Span.SequenceEqual(written.Payload.Span)) return $"entry {index} is {read.Position} and not {written.Position}";
                index++;
            }
        }
        return null;
    }

    private void Append(WriteAheadLog log)
    {
        var (hard, entries) = (Wanted.Hard, Wanted.Entries);
        var change = random.Next(3) == 0;
        if (change) hard = random.Next(2) == 0 ? hard with { Vote = new MemberId((ulong)random.Next(5)) } : new HardState(hard.Term + 1, MemberId.Nobody);
        var least = Math.Max(Wanted.Mark.Index, Wanted.Base.Index) + 1;
        long? from = null;
        if (random.Next(5) == 0 && least <= Wanted.Last.Index)
        {
            from = Math.Max(least, Wanted.Last.Index - random.Next(6));
            entries = entries.RemoveRange((int)(from.Value - Wanted.Base.Index - 1), (int)(Wanted.Last.Index - from.Value + 1));
        }
        var last = entries.IsEmpty ? Wanted.Base : entries[^1].Position;
        var added = Enumerable.Range(1, random.Next(change || from is not null ? 0 : 1, 5)).Select(i => new Entry(Math.Max(1, Math.Max(last.Term, hard.Term)), last.Index + i,
            (EntryKind)random.Next(3), Payload())).ToList();
        if (added.Count > 0 && hard.Term < added[0].Term) (hard, change) = (new HardState(added[0].Term, MemberId.Nobody), true);
        Wanted = Wanted with { Hard = hard, Entries = entries.AddRange(added) };
        log.Append(change ? hard : null, from, added);
    }

    private void Mark(WriteAheadLog log, LogPosition snapshot)
    {
        if (snapshot.Index <= Wanted.Mark.Index) return;
        var known = Wanted.Entries.Find(entry => entry.Index == snapshot.Index);
        Wanted = known?.Term == snapshot.Term ? Wanted with { Mark = snapshot } : Wanted with { Mark = snapshot, Base = snapshot, Entries = [] };
        log.Mark(snapshot);
        Durable = Wanted;
    }

    private byte[] Payload()
    {
        var text = new StringBuilder();
        for (var length = random.Next(4) == 0 ? random.Next(3000) : random.Next(60); text.Length < length;) text.Append(random.Next());
        return Encoding.UTF8.GetBytes(text.ToString());
    }
}
