using Aisle.Training.Exchange;
using Aisle.Training.Numerics;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;

namespace Aisle.Training;

/// <summary>
/// A state that comes piece by piece while the others go on (<see cref="WorkerProtocol"/>): pieces are put where they belong, and carried along from step to step by
/// the gradients that everyone gets. And the other side: pieces given to those who ask. All on the computing thread but for <see cref="GivePiece"/> and the arrival.
/// </summary>
internal sealed partial class WorkerSession
{
    private BufferPool<float> _piecePool = null!;
    private Piece[] _pieces = []; // by shard, of the lesson in hand
    private readonly List<(long At, Action Send)> _lateGifts = []; // for tests; guarded by the exchange's lock

    /// <param name="State">−1 while the piece is not here.</param>
    private readonly record struct Piece(long State, OptimizerPowers Powers);

    private void BeginLesson(long life)
    {
        if (Volatile.Read(ref _life) != life) return;
        Array.Fill(_pieces, new Piece(-1, default));
        (_lossPerToken, _skipped, _gradientNorm, _learningRate) = (double.NaN, false, double.NaN, double.NaN);
    }

    void IExchangeOwner.StatePiece(long life, StateFrame frame)
    {
        var length = _learned.Arenas * _grid.Length(frame.Shard);
        if (frame.Values.Length != length) throw ContributionFrame.Malformed(frame.Values.Length * sizeof(float));
        var values = _piecePool.Rent();
        frame.Values.CopyTo(values.Span);
        var (shard, state, powers) = (frame.Shard, frame.Step, frame.Powers);
        Enqueue(() =>
        {
            TakePiece(life, shard, state, powers, values.Span[..length]);
            values.Release();
        });
    }

    private void TakePiece(long life, int shard, long state, OptimizerPowers powers, ReadOnlySpan<float> values)
    {
        if (!_exchange.CanTake(life, shard, state, out var upTo)) return; // another came first, or it was asked for again since
        _learned.AdoptRange(_grid.Offset(shard), _grid.Length(shard), values);
        var piece = new Piece(state, powers);
        for (var step = state; step < upTo; step++)
        {
            var gradient = _exchange.Reduced(step, out var note);
            if (gradient.IsEmpty) return; // the worker begins anew
            Measure(step, gradient, note);
            piece = Moved(shard, piece, gradient);
        }
        _pieces[shard] = piece;
        _exchange.PieceTaken(life, shard, state);
    }

    private void Follow(long life, long step)
    {
        if (Volatile.Read(ref _life) != life) return;
        var gradient = _exchange.Reduced(step, out var note);
        if (gradient.IsEmpty) return;
        Measure(step, gradient, note);
        for (var shard = 0; shard < _pieces.Length; shard++)
        {
            if (_pieces[shard].State == step) _pieces[shard] = Moved(shard, _pieces[shard], gradient);
        }
        _exchange.Followed(life, step);
    }

    private Piece Moved(int shard, Piece piece, ReadOnlySpan<float> gradient) => new(
        piece.State + 1,
        _skipped ? piece.Powers : _learned.UpdateRange(_grid.Offset(shard), _grid.Length(shard), gradient, _gradientNorm, _learningRate, piece.Powers));

    private void EndLesson(long life, long state)
    {
        if (Volatile.Read(ref _life) != life) return;
        _learned.Become(_pieces[0].Powers);
        BecomeState(state);
        RestartClock();
        _exchange.StateArrived(life, state);
    }

    /// <summary>Under the exchange's lock; the rules ask for it only between updates.</summary>
    private void GivePiece(MemberId to, long state, int shard)
    {
        var since = _options.Time.GetTimestamp();
        var copy = _piecePool.Rent();
        _learned.CopyRange(_grid.Offset(shard), _grid.Length(shard), copy.Span);
        _clock.Saved(since);
        var powers = _learned.Powers;
        if (_options.GiftsLateBySteps == 0) _exchange.SendState(to, state, shard, copy, powers);
        else _lateGifts.Add((state + _options.GiftsLateBySteps, () => _exchange.SendState(to, state, shard, copy, powers)));
    }

    private void SendLateGifts(long state)
    {
        foreach (var late in _lateGifts.FindAll(late => late.At <= state)) late.Send();
        _lateGifts.RemoveAll(late => late.At <= state);
    }
}
