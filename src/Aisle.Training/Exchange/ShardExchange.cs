using System.Net;
using Aisle.Training.Numerics;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;

namespace Aisle.Training.Exchange;

/// <summary>The sum over one unit's slices, in fixed point, kept until no member can lack it.</summary>
internal sealed record UnitSum(SliceSet Slices, SharedBuffer<long> Sum, ShardNote Note);

/// <summary>What an exchange needs to know.</summary>
/// <param name="Divisor">What the full sum is divided by, once: tokens in a step.</param>
internal sealed record ExchangeOptions(ShardGrid Grid, int Slices, int FractionBits, double Divisor, IPAddress Address, int Port, byte[] Secret, TimeProvider Time);

/// <summary>
/// Sums gradients among members over TCP: carries out what <see cref="WorkerProtocol"/> asks of sums, shards and links, and hands the rest
/// (computing, applying, reporting) to its owner. Thread-safe: everything happens under one lock, but packing and sending.
/// </summary>
internal sealed partial class ShardExchange : IDisposable
{
    private readonly ExchangeOptions _options;
    private readonly ShardGrid _grid;
    private readonly IExchangeOwner _owner;
    private readonly PeerListener _listener;
    private readonly BufferPool<long> _unitPool;
    private readonly BufferPool<long> _shardPool;
    private readonly BufferPool<float> _gradientPool;
    private readonly ManualResetEventSlim _hasPlan = new();
    private readonly Lock _gate = new(); // guards everything below and the rules; may be held while a small control message is sent
    private readonly Dictionary<MemberId, PeerLink> _links = [];
    private readonly SortedDictionary<long, StepBuffers> _steps = [];
    private readonly SortedDictionary<long, StepPlan> _plans = [];
    private WorkerProtocol? _rules;
    private bool _closed;

    public ShardExchange(ExchangeOptions options, IExchangeOwner owner)
    {
        (_options, _grid, _owner) = (options, options.Grid, owner);
        _unitPool = new BufferPool<long>(_grid.Elements);
        _shardPool = new BufferPool<long>(_grid.ShardElements);
        _gradientPool = new BufferPool<float>(_grid.Elements);
        _listener = new PeerListener(options.Address, options.Port, options.Secret, Arrived, owner.Log);
    }

    public IPEndPoint EndPoint => _listener.EndPoint;

    /// <summary>Starts as this member, without state or plan, forgetting what was.</summary>
    public void Begin(MemberId self)
    {
        lock (_gate)
        {
            _hasPlan.Reset();
            foreach (var step in _steps.Keys.ToList()) Release(step);
            foreach (var link in _links.Values) link.Dispose();
            _links.Clear();
            _plans.Clear();
            _rules = new WorkerProtocol(self, _options.Slices, _grid.Count);
        }
    }

    public void Planned(StepPlan plan)
    {
        lock (_gate)
        {
            if (_closed) return;
            var rules = Rules;
            _plans[plan.Step] = plan;
            foreach (var old in _plans.Keys.Where(step => step < plan.Step - 1).ToList()) _plans.Remove(old);
            var wanted = _plans.Values.SelectMany(known => known.Receivers).DistinctBy(member => member.Id).ToDictionary(member => member.Id);
            foreach (var gone in _links.Keys.Where(id => !wanted.ContainsKey(id)).ToList())
            {
                _links.Remove(gone, out var link);
                link!.Dispose();
            }
            foreach (var member in wanted.Values.Where(member => member.Id != rules.Self && !_links.ContainsKey(member.Id)))
            {
                _links.Add(member.Id, new PeerLink(rules.Self, member, _options.Secret, _grid, new PeerLinkEvents(LinkReset, _owner.Unreachable), _options.Time));
            }
            Carry(rules.Planned(plan));
            _hasPlan.Set();
        }
    }

    public void StateArrived(long state) => Follow(rules => rules.StateArrived(state));

    public void SaveOrdered(SaveOrder order) => Follow(rules => rules.SaveOrdered(order));

    public void SaveAnnounced(long step) => Follow(rules => rules.SaveAnnounced(step));

    /// <summary>A sum to add a unit's slices to, not cleared; goes back in with <see cref="UnitComputed"/> or <see cref="SharedBuffer{T}.Release"/>.</summary>
    public SharedBuffer<long> RentSum() => _unitPool.Rent();

    public SliceSet SlicesOf(long step, int unit)
    {
        lock (_gate) return _plans[step].Units.Single(known => known.Id == unit).Slices;
    }

    public void UnitComputed(long step, int unit, UnitSum sum)
    {
        lock (_gate)
        {
            if (_closed || Rules.State != step)
            {
                sum.Sum.Release();
                return;
            }
            StepOf(step).Units.Add(unit, sum);
            Carry(Rules.UnitComputed(step, unit));
        }
    }

    /// <summary>The mean gradient of a step that is being applied, with the sum of its losses.</summary>
    public ReadOnlySpan<float> Reduced(long step, out ShardNote note)
    {
        lock (_gate)
        {
            var buffers = _steps[step];
            // Every shard's sum carries the same losses; whether something did not fit is each shard's own to say.
            note = new ShardNote(buffers.Notes[0].Loss, buffers.Notes.Any(shard => shard.Invalid));
            return buffers.Reduced!.Span;
        }
    }

    public void Applied(long step) => Follow(rules => rules.Applied(step));

    /// <summary>Queues a whole state for a learner; takes over one hold on <paramref name="values"/>.</summary>
    public void SendState(MemberId to, long step, SharedBuffer<float> values, (double, double) powers)
    {
        lock (_gate)
        {
            if (_links.TryGetValue(to, out var link)) link.Send(new Parcel(ParcelKind.State, step, 0, default, null, values, powers));
            else values.Release();
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _closed = true;
            foreach (var link in _links.Values) link.Dispose();
            _links.Clear();
        }
        _listener.Dispose();
        _hasPlan.Set();
    }

    private WorkerProtocol Rules => _rules ?? throw new InvalidOperationException("The exchange has not begun.");

    private void LinkReset(MemberId peer) => Follow(rules => rules.LinkReset(peer));

    private void Follow(Func<WorkerProtocol, IReadOnlyList<WorkerEffect>> rule)
    {
        lock (_gate)
        {
            if (!_closed) Carry(rule(Rules));
        }
    }

    private StepBuffers StepOf(long step)
    {
        if (!_steps.TryGetValue(step, out var buffers)) _steps.Add(step, buffers = new StepBuffers(_grid.Count));
        return buffers;
    }

    private void Release(long step)
    {
        if (!_steps.Remove(step, out var buffers)) return;
        foreach (var unit in buffers.Units.Values) unit.Sum.Release();
        foreach (var sum in buffers.Sums) sum?.Release();
        buffers.Reduced?.Release();
    }

    private sealed class StepBuffers(int shards)
    {
        public Dictionary<int, UnitSum> Units { get; } = [];

        /// <summary>Shard → its sum so far, where this worker sums it.</summary>
        public SharedBuffer<long>?[] Sums { get; } = new SharedBuffer<long>?[shards];

        public ShardNote[] Notes { get; } = new ShardNote[shards];

        public SharedBuffer<float>? Reduced { get; set; }
    }
}

/// <summary>Who an exchange belongs to: a worker that trains, or a bare all-reduce.</summary>
internal interface IExchangeOwner
{
    /// <summary>An effect that is not the exchange's own. Called under its lock: return soon.</summary>
    void Carry(WorkerEffect effect);

    /// <summary>A piece of a state, on its way to this worker.</summary>
    void StatePiece(StateFrame piece);

    void Unreachable(MemberId peer, string reason);

    void Log(string line);
}
