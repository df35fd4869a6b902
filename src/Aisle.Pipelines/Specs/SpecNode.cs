namespace Aisle.Pipelines;

/// <summary>Where something is written: in the file, or in a <c>--set</c> argument.</summary>
internal readonly record struct Place(long Line, long Column, string? Override = null)
{
    public override string ToString() => Override is null ? $"line {Line}, column {Column}" : $"--set {Override}";
}

/// <summary>A spec as written: maps, lists and text, each with its place. No types yet.</summary>
internal abstract class SpecNode(Place place)
{
    public Place Place { get; } = place;

    public abstract string Kind { get; }
}

internal sealed class SpecText(string text, Place place) : SpecNode(place)
{
    public string Text { get; } = text;

    public override string Kind => "a single value";
}

internal sealed class SpecList(Place place) : SpecNode(place)
{
    public List<SpecNode> Items { get; } = [];

    public override string Kind => "a list";
}

internal sealed class SpecMap(Place place) : SpecNode(place)
{
    public List<(string Key, Place Place, SpecNode Value)> Entries { get; } = [];

    public override string Kind => "a map";

    public SpecNode? Find(string key) => Entries.Find(entry => entry.Key == key).Value;

    public void Set(string key, SpecNode value)
    {
        var at = Entries.FindIndex(entry => entry.Key == key);
        if (at < 0) Entries.Add((key, value.Place, value));
        else Entries[at] = (key, value.Place, value);
    }
}
