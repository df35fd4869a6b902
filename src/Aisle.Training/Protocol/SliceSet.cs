using System.Collections.Immutable;
using System.Numerics;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Aisle.Training.Protocol;

/// <summary>A set of slices of one step: names a contribution, and tells what a shard has been given so far. Immutable.</summary>
[JsonConverter(typeof(SliceSetJson))]
public sealed class SliceSet : IEquatable<SliceSet>
{
    /// <summary>Most slices a step may have: with gradients rounded to 51 bits, sums of so many still fit 63.</summary>
    public const int MaxSlices = 4096;

    public static readonly SliceSet Empty = new([]);

    private readonly ImmutableArray<ulong> _words; // no zero word at the end, so equal sets have equal words

    private SliceSet(ReadOnlySpan<ulong> words) => _words = [.. words.TrimEnd(0UL)];

    /// <summary>Slices <paramref name="from"/> up to, but without, <paramref name="to"/>.</summary>
    public static SliceSet Range(int from, int to) => Of(Enumerable.Range(from, to - from));

    public static SliceSet Of(IEnumerable<int> slices)
    {
        Span<ulong> words = stackalloc ulong[MaxSlices / 64];
        words.Clear();
        foreach (var slice in slices)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(slice);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(slice, MaxSlices);
            words[slice / 64] |= 1UL << (slice % 64);
        }
        return new SliceSet(words);
    }

    /// <summary>The set whose members are the set bits of <paramref name="words"/>, lowest first; at most 64 words.</summary>
    public static SliceSet FromWords(ReadOnlySpan<ulong> words)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(words.Length, MaxSlices / 64);
        return new SliceSet(words);
    }

    public ReadOnlySpan<ulong> Words => _words.AsSpan();

    public int Count => _words.Sum(BitOperations.PopCount);

    public bool IsEmpty => _words.IsEmpty;

    public bool Contains(int slice) => slice / 64 < _words.Length && (_words[slice / 64] >> (slice % 64) & 1) != 0;

    public bool Overlaps(SliceSet other)
    {
        for (var i = 0; i < Math.Min(_words.Length, other._words.Length); i++)
        {
            if ((_words[i] & other._words[i]) != 0) return true;
        }
        return false;
    }

    /// <summary>Whether <paramref name="whole"/> has every slice of this set.</summary>
    public bool IsWithin(SliceSet whole)
    {
        if (_words.Length > whole._words.Length) return false;
        for (var i = 0; i < _words.Length; i++)
        {
            if ((_words[i] & ~whole._words[i]) != 0) return false;
        }
        return true;
    }

    public SliceSet Union(SliceSet other)
    {
        var (shorter, longer) = _words.Length < other._words.Length ? (_words, other._words) : (other._words, _words);
        var words = longer.ToArray();
        for (var i = 0; i < shorter.Length; i++) words[i] |= shorter[i];
        return new SliceSet(words);
    }

    /// <summary>Members in rising order.</summary>
    public IEnumerable<int> Slices()
    {
        for (var i = 0; i < _words.Length; i++)
        {
            for (var word = _words[i]; word != 0; word &= word - 1) yield return i * 64 + BitOperations.TrailingZeroCount(word);
        }
    }

    /// <summary>Cuts the set into at most <paramref name="parts"/> runs of nearly equal size, none of them empty.</summary>
    public IEnumerable<SliceSet> Split(int parts)
    {
        var slices = Slices().ToArray();
        parts = Math.Min(parts, slices.Length);
        for (var i = 0; i < parts; i++)
        {
            yield return Of(slices[(slices.Length * i / parts)..(slices.Length * (i + 1) / parts)]);
        }
    }

    public bool Equals(SliceSet? other) => other is not null && _words.AsSpan().SequenceEqual(other._words.AsSpan());

    public override bool Equals(object? obj) => Equals(obj as SliceSet);

    public override int GetHashCode()
    {
        var hash = new HashCode();
        foreach (var word in _words) hash.Add(word);
        return hash.ToHashCode();
    }

    /// <summary>Runs of slices: <c>0-20,63</c>.</summary>
    public override string ToString()
    {
        var runs = new List<string>();
        var (start, last) = (-1, -2);
        foreach (var slice in Slices().Append(int.MaxValue))
        {
            if (slice != last + 1)
            {
                if (start >= 0) runs.Add(start == last ? $"{start}" : $"{start}-{last}");
                start = slice;
            }
            last = slice;
        }
        return string.Join(',', runs);
    }

    /// <exception cref="FormatException">Not runs of slices below <see cref="MaxSlices"/>.</exception>
    public static SliceSet Parse(string text)
    {
        if (text.Length > 8 * MaxSlices) throw new FormatException("The list of slices is too long.");
        Span<ulong> words = stackalloc ulong[MaxSlices / 64];
        words.Clear();
        foreach (var run in text.Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            var dash = run.IndexOf('-');
            var isRun = int.TryParse(dash < 0 ? run : run[..dash], out var from) & int.TryParse(dash < 0 ? run : run[(dash + 1)..], out var to);
            if (!isRun || from < 0 || to < from || to >= MaxSlices) throw new FormatException($"'{run}' is not a run of slices below {MaxSlices}.");
            for (var slice = from; slice <= to; slice++) words[slice / 64] |= 1UL << (slice % 64);
        }
        return new SliceSet(words);
    }
}

internal sealed class SliceSetJson : JsonConverter<SliceSet>
{
    public override SliceSet Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        try
        {
            return SliceSet.Parse(reader.TokenType == JsonTokenType.String ? reader.GetString()! : throw new FormatException("Slices are written as text."));
        }
        catch (FormatException e)
        {
            throw new JsonException(e.Message, e);
        }
    }

    public override void Write(Utf8JsonWriter writer, SliceSet value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());
}
