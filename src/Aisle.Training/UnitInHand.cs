using Aisle.Training.Exchange;
using Aisle.Training.Numerics;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;

namespace Aisle.Training;

/// <summary>
/// The unit that is being computed: gradients are rounded into its sum range by range, and during its last slice every shard that is final is handed on at once,
/// so that it travels while the rest is computed. Used again for every unit. Not thread-safe.
/// </summary>
internal sealed class UnitInHand(ShardExchange exchange, ShardGrid grid, int fractionBits)
{
    private readonly int[] _left = new int[grid.Count]; // elements of each shard that the last slice has not added yet
    private SharedBuffer<long>? _sum;
    private SliceSet _slices = SliceSet.Empty;
    private long _step;
    private int _unit;
    private ShardNote _note;
    private bool _isFirst;
    private bool _isLast;
    private bool _isWanted;

    public void Begin(long step, int unit, SliceSet slices)
    {
        (_step, _unit, _slices, _note, _isFirst, _isLast) = (step, unit, slices, default, true, false);
        _sum = exchange.RentSum();
    }

    public void BeginSlice(bool isLast)
    {
        _isLast = isLast;
        if (!isLast) return;
        for (var shard = 0; shard < grid.Count; shard++) _left[shard] = grid.Length(shard);
        _sum!.Hold(); // one goes to the exchange, which may give it back at any moment
        _isWanted = exchange.UnitStarted(_step, _unit, new UnitSum(_slices, _sum, NumberForm.Fixed64, _note));
    }

    /// <summary>Adds a range of the slice's gradient, which is final, to the sum.</summary>
    public void Round(ReadOnlySpan<float> gradients, int offset, int length)
    {
        while (length > 0)
        {
            var shard = offset / grid.ShardElements;
            var part = Math.Min(length, grid.Offset(shard) + grid.Length(shard) - offset);
            var fits = FixedPoint.Accumulate(gradients.Slice(offset, part), _sum!.Span.Slice(offset, part), fractionBits, _isFirst);
            _note = _note with { Invalid = _note.Invalid | !fits };
            // The first shard carries the losses, which are known when the slice ends.
            if (_isLast && (_left[shard] -= part) == 0 && shard > 0) HandOn(shard);
            (offset, length) = (offset + part, length - part);
        }
    }

    /// <summary>The slice is computed and every element of its gradient rounded.</summary>
    /// <param name="loss">In fixed point; null when it does not fit.</param>
    public void EndSlice(long? loss)
    {
        _note = _note.Plus(new ShardNote(loss ?? 0, loss is null));
        _isFirst = false;
        if (!_isLast) return;
        HandOn(0);
        LetGo();
    }

    /// <summary>Gives the sum back: nobody needs the unit any more. May be called at any time.</summary>
    public void LetGo()
    {
        _sum?.Release();
        _sum = null;
    }

    private void HandOn(int shard)
    {
        if (_isWanted) exchange.UnitShardComputed(_step, _unit, shard, _note);
    }
}
