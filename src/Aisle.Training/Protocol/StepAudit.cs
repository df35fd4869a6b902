namespace Aisle.Training.Protocol;

/// <summary>What a worker's gradient of one slice was: equal hashes, equal bits.</summary>
internal readonly record struct Claim(MemberId By, string Name, UInt128 Hash);

/// <summary>One audited slice: who may have handed on a sum with it, who was asked to compute it once more, and what each of them got.</summary>
internal sealed class AuditedSlice(int slice)
{
    private readonly List<Claim> _claims = [];

    public int Slice => slice;

    public HashSet<MemberId> Given { get; } = [];

    public HashSet<MemberId> Asked { get; } = [];

    /// <summary>Those who were asked to compute it a second time, because nobody else could arbitrate.</summary>
    public HashSet<MemberId> AskedAgain { get; } = [];

    public int Voices => _claims.DistinctBy(claim => claim.By).Count();

    public bool IsDisputed => _claims.Count > 1 && _claims.Exists(claim => claim.Hash != _claims[0].Hash);

    public IReadOnlyList<Claim> Claims => _claims;

    public void Add(Claim claim) => _claims.Add(claim);

    public bool HasClaimOf(MemberId id) => _claims.Exists(claim => claim.By == id);

    public int ClaimsOf(MemberId id) => _claims.Count(claim => claim.By == id);

    /// <summary>Who is wrong, as far as it can be told: whoever contradicts itself, else whoever a majority of three or more contradicts.</summary>
    public IReadOnlyList<Claim> Guilty()
    {
        var voices = _claims.GroupBy(claim => claim.By).ToList();
        Claim[] wavering = [.. voices.Where(voice => voice.Any(claim => claim.Hash != voice.First().Hash)).Select(voice => voice.Last())];
        if (wavering.Length > 0) return wavering;
        var values = voices.GroupBy(voice => voice.First().Hash).OrderByDescending(value => value.Count()).ToList();
        if (values.Count < 2 || voices.Count < 3 || 2 * values[0].Count() <= voices.Count) return [];
        return [.. values.Skip(1).SelectMany(value => value).Select(voice => voice.First())];
    }
}

/// <summary>A step's audit. Nobody makes the step before it is cleared.</summary>
/// <param name="isComplete">Every slice is audited: then nothing that anyone hands on goes unexamined.</param>
internal sealed class StepAudit(long step, bool isComplete)
{
    private readonly SortedDictionary<int, AuditedSlice> _slices = [];

    public long Step => step;

    public bool IsComplete => isComplete;

    public bool IsCleared { get; set; }

    public IEnumerable<AuditedSlice> Slices => _slices.Values;

    public SliceSet Set => SliceSet.Of(_slices.Keys);

    public void Add(int slice) => _slices.TryAdd(slice, new AuditedSlice(slice));

    public AuditedSlice? Find(int slice) => _slices.GetValueOrDefault(slice);

    public void Give(IEnumerable<Unit> units)
    {
        foreach (var unit in units)
        {
            if (unit.Member is not { } member) continue;
            foreach (var audited in _slices.Values.Where(audited => unit.Slices.Contains(audited.Slice))) audited.Given.Add(member);
        }
    }
}
