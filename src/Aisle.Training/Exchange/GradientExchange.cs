using System.Collections.Immutable;
using System.Net;
using Aisle.Training.Numerics;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;

namespace Aisle.Training.Exchange;

/// <summary>
/// The exchange without a model or a coordinator: a fixed set of ranks sums an array of floats, and each rank gets the same bits whatever
/// the number of ranks and the order of arrival. Built of the same parts as training. One caller at a time.
/// </summary>
public sealed class GradientExchange : IDisposable
{
    private readonly int _fractionBits;
    private readonly int _rank;
    private readonly Owner _owner;
    private readonly ShardExchange _exchange;
    private readonly ShardGrid _grid;
    private readonly SharedBuffer<float> _values;
    private StepPlan? _plan;
    private long _step;
    private bool _isUnderWay; // the last sum's numbers are still lent

    /// <param name="elements">Length of every array that will be summed.</param>
    /// <param name="fractionBits">Bits after the binary point that survive; magnitudes must stay below 2^(51 − this).</param>
    /// <param name="transport">The same on all ranks, or not: each pair finds its own way.</param>
    public GradientExchange(
        int rank, int ranks, int elements, ReadOnlySpan<byte> secret, IPAddress? address = null, int port = 0, int fractionBits = 36,
        ExchangeTransport transport = ExchangeTransport.Automatic)
    {
        (_rank, _fractionBits) = (rank, fractionBits);
        _grid = ShardGrid.For(elements, ranks);
        _owner = new Owner();
        _exchange = new ShardExchange(
            new ExchangeOptions(_grid, ranks, fractionBits, _ => 1, address ?? IPAddress.Loopback, port, secret.ToArray(), transport, TimeProvider.System), _owner);
        _values = _exchange.RentValues();
        _values.Span.Clear();
    }

    /// <summary>Where the other ranks reach this one.</summary>
    public IPEndPoint EndPoint => _exchange.EndPoint;

    internal ArenaOffer? Arena => _exchange.Arena;

    /// <summary>
    /// What this rank gives to the next sum: fill it, then call <see cref="AllReduce()"/>. It lies where peers on this host can read it, so that nothing
    /// is copied on its way there. Not to be touched after <see cref="Dispose"/>.
    /// </summary>
    public Span<float> Values => _values.Span;

    /// <param name="endPoints">Of all ranks, in rank order, this one's included.</param>
    public void Connect(IReadOnlyList<IPEndPoint> endPoints)
    {
        ImmutableArray<Member> members = [.. endPoints.Select((endPoint, rank) => new Member(new MemberId(rank), $"rank {rank}", endPoint.Address.ToString(), endPoint.Port))];
        _plan = StepPlan.OfFixed(members, _grid.Count);
        _exchange.Begin(new MemberId(_rank), term: 0, life: 0);
        _exchange.StateArrived(life: 0, state: 0);
    }

    /// <summary>Sums <see cref="Values"/> over all ranks. Every rank calls it equally often; it returns when the whole sum is here.</summary>
    /// <returns>The sum, the same bits on every rank; stands until the next call.</returns>
    /// <exception cref="AisleException">AISLE-5126: on some rank a value was NaN, infinite or too large.</exception>
    public ReadOnlySpan<float> AllReduce()
    {
        var plan = _plan ?? throw new InvalidOperationException("Connect first.");
        if (_isUnderWay) _exchange.Applied(life: 0, _step++);
        _isUnderWay = true;
        _values.Renew();
        _values.Hold();
        _exchange.Planned(plan with { Step = _step, Oldest = _step - 1, Epoch = _step + 1 });
        _exchange.UnitComputed(_step, _rank, new UnitSum(plan.Units[_rank].Slices, _values, NumberForm.Float32, default));
        _owner.WaitForApply();
        var sum = _exchange.Reduced(_step, out var note);
        return note.Invalid
            ? throw new AisleException("AISLE-5126", "A value was NaN, infinite or too large to sum.", $"Keep magnitudes below 2^{FixedPoint.MagnitudeBits - _fractionBits}.")
            : sum;
    }

    /// <summary>Replaces <paramref name="values"/> by the sum over all ranks: for arrays that lie elsewhere, at the price of a copy each way.</summary>
    /// <exception cref="AisleException">AISLE-5126: on some rank a value was NaN, infinite or too large.</exception>
    public void AllReduce(Span<float> values)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(values.Length, _grid.Elements);
        values.CopyTo(Values);
        AllReduce().CopyTo(values);
    }

    public void Dispose()
    {
        _values.Release();
        _exchange.Dispose();
        _exchange.GiveBackReduced();
        _owner.Dispose();
    }

    private sealed class Owner : IExchangeOwner, IDisposable
    {
        private readonly SemaphoreSlim _apply = new(0);

        public void WaitForApply() => _apply.Wait();

        public void Dispose() => _apply.Dispose();

        public void Carry(WorkerEffect effect)
        {
            if (effect.Action == WorkerAction.Apply) _apply.Release();
        }

        public void StatePiece(long life, StateFrame piece)
        {
        }

        public void Unreachable(MemberId peer, string reason)
        {
        }

        public void Log(string line)
        {
        }
    }
}
