using System.Collections.Immutable;
using System.Net;
using System.Security.Cryptography;
using Aisle.Training.Exchange;
using Aisle.Training.Numerics;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;

namespace Aisle.Training.Collectives;

/// <summary>
/// A gradient's sum over the direct exchange that elastic training uses, without its coordinator: ranks that are threads of one process. For programs that have no MPI, and
/// for comparing with it. A thread that ends without <see cref="Complete"/> leaves the others waiting.
/// </summary>
public sealed class DirectSum : IGradientSum, IExchangeOwner
{
    private readonly ShardExchange _exchange;
    private readonly ShardGrid _grid;
    private readonly Barrier _end;
    private readonly SemaphoreSlim _apply = new(0);
    private StepPlan _plan = null!; // set before the ranks are handed out
    private SharedBuffer<long> _sums;
    private double _divisor = 1; // the exchange's threads read it once this rank's sums are in
    private long _step;
    private bool _isUnderWay; // the last mean is still lent

    private DirectSum(GradientShape shape, int rank, int ranks, byte[] secret, Barrier end)
    {
        (Rank, Ranks, _end) = (rank, ranks, end);
        _grid = ShardGrid.For(shape.Elements, ranks);
        _exchange = new ShardExchange(
            new ExchangeOptions(_grid, ranks, shape.FractionBits, _ => Volatile.Read(ref _divisor), IPAddress.Loopback, 0, secret, ExchangeTransport.Automatic, TimeProvider.System), this);
        _sums = _exchange.RentSum();
    }

    /// <summary>One for each rank, connected with the others: give each to a thread of its own.</summary>
    public static IReadOnlyList<IGradientSum> Open(GradientShape shape, int ranks)
    {
        var (secret, end) = (RandomNumberGenerator.GetBytes(32), new Barrier(ranks));
        DirectSum[] sums = [.. Enumerable.Range(0, ranks).Select(rank => new DirectSum(shape, rank, ranks, secret, end))];
        ImmutableArray<Member> members =
            [.. sums.Select(sum => new Member(new MemberId(sum.Rank), $"rank {sum.Rank}", sum._exchange.EndPoint.Address.ToString(), sum._exchange.EndPoint.Port))];
        foreach (var sum in sums) sum.Connect(members);
        return sums;
    }

    public int Rank { get; }

    public int Ranks { get; }

    public Span<long> Sums => _sums.Span;

    public ReadOnlySpan<float> Reduce(ShardNote mine, double divisor, out ShardNote all)
    {
        if (_isUnderWay) _exchange.Applied(life: 0, _step++);
        _isUnderWay = true;
        Volatile.Write(ref _divisor, divisor);
        _exchange.Planned(_plan with { Step = _step, Oldest = _step - 1, Epoch = _step + 1 });
        _exchange.UnitComputed(_step, Rank, new UnitSum(_plan.Units[Rank].Slices, _sums, NumberForm.Fixed64, mine));
        _sums = _exchange.RentSum(); // the others may still be reading the one before
        _apply.Wait();
        return _exchange.Reduced(_step, out all);
    }

    /// <summary>Each word is the sum of one rank's and the others' zeros.</summary>
    public void Gather(ReadOnlySpan<long> mine, Span<long> all)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(all.Length, Ranks * mine.Length, nameof(all));
        for (var i = 0; i < all.Length; i++)
        {
            Sums.Clear();
            Reduce(new ShardNote(i / mine.Length == Rank ? mine[i % mine.Length] : 0, false), 1, out var total);
            all[i] = total.Loss;
        }
    }

    /// <summary>Waits until every rank has what it asked for.</summary>
    public void Complete() => _end.SignalAndWait();

    public void Dispose()
    {
        _sums.Release();
        _exchange.Dispose();
        _exchange.GiveBackReduced();
        _apply.Dispose();
    }

    void IExchangeOwner.Carry(WorkerEffect effect)
    {
        if (effect.Action == WorkerAction.Apply) _apply.Release();
    }

    void IExchangeOwner.StatePiece(long life, StateFrame piece)
    {
    }

    void IExchangeOwner.Unreachable(MemberId peer, string reason)
    {
    }

    void IExchangeOwner.Log(string line)
    {
    }

    private void Connect(ImmutableArray<Member> members)
    {
        _plan = StepPlan.OfFixed(members, _grid.Count);
        _exchange.Begin(new MemberId(Rank), term: 0, life: 0);
        _exchange.StateArrived(life: 0, state: 0);
    }
}
