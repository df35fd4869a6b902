namespace Aisle.Training.Protocol;

/// <summary>The slices of a step that something holds so far: a <see cref="SliceSet"/> that can change, used again from step to step. Not thread-safe.</summary>
internal sealed class SliceCover
{
    private readonly ulong[] _words = new ulong[SliceSet.MaxSlices / 64];
    private int _used; // words from here on are zero

    public bool Overlaps(SliceSet slices)
    {
        var words = slices.Words;
        for (var i = 0; i < Math.Min(_used, words.Length); i++)
        {
            if ((_words[i] & words[i]) != 0) return true;
        }
        return false;
    }

    public void Add(SliceSet slices)
    {
        var words = slices.Words;
        for (var i = 0; i < words.Length; i++) _words[i] |= words[i];
        _used = Math.Max(_used, words.Length);
    }

    public void Remove(SliceSet slices)
    {
        var words = slices.Words;
        for (var i = 0; i < Math.Min(_used, words.Length); i++) _words[i] &= ~words[i];
    }

    public bool Is(SliceSet slices) => _words.AsSpan(0, _used).TrimEnd(0UL).SequenceEqual(slices.Words);

    public void Clear()
    {
        _words.AsSpan(0, _used).Clear();
        _used = 0;
    }
}
