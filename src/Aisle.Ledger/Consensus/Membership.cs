using System.Buffers;
using System.Collections.Immutable;

namespace Aisle.Ledger.Consensus;

/// <summary>Who votes and who only learns. Single changes only: any majority of one and any majority of the next then share a member, so there is never a second set.</summary>
/// <param name="Voters">Rising, no doubles.</param>
/// <param name="Learners">Rising, no doubles, no voter.</param>
/// <param name="Newest">The highest id there ever was. A new member's is higher, so an id is never used again, and one that is lower and absent was removed.</param>
internal sealed record Membership(ImmutableArray<MemberId> Voters, ImmutableArray<MemberId> Learners, ulong Newest)
{
    public const int MaxMembers = 256;

    /// <summary>Of a member that knows nobody yet: it waits to be told.</summary>
    public static readonly Membership None = new([], [], 0);

    public static Membership Of(params ReadOnlySpan<ulong> voters)
    {
        var ids = ImmutableArray.CreateBuilder<MemberId>(voters.Length);
        foreach (var id in voters) ids.Add(new MemberId(id));
        ids.Sort((a, b) => a.Value.CompareTo(b.Value));
        return new(ids.ToImmutable(), [], ids.Count == 0 ? 0 : ids[^1].Value);
    }

    public IEnumerable<MemberId> Everybody => Voters.Concat(Learners);

    public bool Votes(MemberId member) => Voters.Contains(member);

    public bool Has(MemberId member) => Voters.Contains(member) || Learners.Contains(member);

    public bool Removed(MemberId member) => !Has(member) && member.Value <= Newest;

    public Membership AddLearner(MemberId member) => this with { Learners = Learners.Add(member), Newest = member.Value };   // higher than all: stays sorted

    public Membership Promote(MemberId member) => this with { Learners = Learners.Remove(member), Voters = Sorted(Voters.Add(member)) };

    public Membership Remove(MemberId member) => this with { Voters = Voters.Remove(member), Learners = Learners.Remove(member) };

    public bool Equals(Membership? other) =>
        other is not null && Newest == other.Newest && Voters.SequenceEqual(other.Voters) && Learners.SequenceEqual(other.Learners);

    public override int GetHashCode() => HashCode.Combine(Voters.Length, Learners.Length, Newest);

    public override string ToString() => $"[{string.Join(' ', Voters)}{(Learners.IsEmpty ? "" : " + ")}{string.Join(' ', Learners)}]";

    /// <summary>The payload of an <see cref="EntryKind.Membership"/> entry.</summary>
    public byte[] ToBytes()
    {
        var buffer = new ArrayBufferWriter<byte>();
        WriteTo(buffer);
        return buffer.WrittenSpan.ToArray();
    }

    public void WriteTo(ArrayBufferWriter<byte> to)
    {
        WireFormat.Write(to, Newest);
        foreach (var ids in (ReadOnlySpan<ImmutableArray<MemberId>>)[Voters, Learners])
        {
            WireFormat.Write(to, (ulong)ids.Length);
            foreach (var id in ids) WireFormat.Write(to, id.Value);
        }
    }

    /// <exception cref="AisleException">AISLE-2070: not a membership.</exception>
    public static Membership Read(ReadOnlyMemory<byte> bytes)
    {
        var from = new WireReader(bytes);
        var membership = ReadFrom(ref from);
        from.End();
        return membership;
    }

    public static Membership ReadFrom(ref WireReader from)
    {
        var newest = from.Unsigned();
        var voters = ReadIds(ref from, newest);
        var learners = ReadIds(ref from, newest);
        foreach (var id in learners) if (voters.Contains(id)) throw WireReader.Malformed($"{id} votes and learns");
        return new(voters, learners, newest);
    }

    private static ImmutableArray<MemberId> ReadIds(ref WireReader from, ulong newest)
    {
        var count = from.Count(MaxMembers);
        var ids = ImmutableArray.CreateBuilder<MemberId>(count);
        var last = 0UL;
        for (var i = 0; i < count; i++)
        {
            var id = from.Unsigned();
            if (id <= last || id > newest) throw WireReader.Malformed($"member {id} after {last}, newest {newest}");
            ids.Add(new MemberId(last = id));
        }
        return ids.MoveToImmutable();
    }

    private static ImmutableArray<MemberId> Sorted(ImmutableArray<MemberId> ids) => ids.Sort((a, b) => a.Value.CompareTo(b.Value));
}
