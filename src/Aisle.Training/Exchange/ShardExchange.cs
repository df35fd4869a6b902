using System.Net;
using Aisle.Training.Numerics;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;

namespace Aisle.Training.Exchange;

/// <summary>What an exchange needs to know.</summary>
/// <param name="Divisor">Step → what its full sum is divided by, once: its tokens. Called on any thread.</param>
internal sealed record ExchangeOptions(
    ShardGrid Grid, int Slices, int FractionBits, Func<long, double> Divisor, IPAddress Address, int Port, byte[] Secret, ExchangeTransport Transport, TimeProvider Time);

/// <summary>
/// Sums gradients among members: carries out what <see cref="WorkerProtocol"/> asks of sums, shards and links, and hands the rest
/// (computing, applying, reporting) to its owner. Thread-safe: rules and records are under one lock; adding, copying, packing and sending are not.
/// </summary>
internal sealed partial class ShardExchange : IDisposable
{
    // Address space for so many sums and gradients of the model's size; beyond it, numbers travel as bytes.
    private const int ArenaSums = 24;
    private const int ArenaGradients = 8;
    private readonly ExchangeOptions _options;
    private readonly ShardGrid _grid;
    private readonly IExchangeOwner _owner;
    private readonly PeerListener _listener;
    private readonly SharedArena? _arena;
    private readonly BufferPool<long> _unitPool;
    private readonly BufferPool<long> _shardPool;
    private readonly BufferPool<float> _gradientPool;
    private static readonly TimeSpan s_otherLifeFor = TimeSpan.FromMilliseconds(250);
    private readonly ManualResetEventSlim _hasPlan = new();
    private readonly object _gate = new(); // guards everything below and the rules; may be held while a small control message is sent
    private readonly Dictionary<MemberId, PeerLink> _links = [];
    private readonly List<StepBuffers> _steps = [];
    private readonly Stack<StepBuffers> _spareSteps = [];
    private readonly List<StepPlan> _plans = []; // two at most, but for steps that a learner lacks
    private WorkerProtocol? _rules;
    private PeerLinkOptions? _linkOptions;
    private StepBuffers? _applying;
    private MemberId _self;
    private long _term;
    private long _life;
    private bool _closed;

    public ShardExchange(ExchangeOptions options, IExchangeOwner owner)
    {
        (_options, _grid, _owner) = (options, options.Grid, owner);
        if (options.Transport == ExchangeTransport.Automatic) _arena = SharedArena.TryCreate(_grid.Elements * (long)(ArenaSums * sizeof(long) + ArenaGradients * sizeof(float)) + (1 << 20));
        _unitPool = new BufferPool<long>(_grid.Elements, _arena);
        _shardPool = new BufferPool<long>(_grid.ShardElements);
        _gradientPool = new BufferPool<float>(_grid.Elements, _arena);
        _listener = new PeerListener(options.Address, options.Port, options.Secret, options.Transport, Arrived, owner.Log);
    }

    public IPEndPoint EndPoint => _listener.EndPoint;

    /// <summary>This worker's arena, where it has one.</summary>
    public ArenaOffer? Arena => _arena?.Offer;

    /// <summary>Starts as this member, without state or plan, forgetting what was.</summary>
    /// <param name="term">Peers that begin in another are not listened to.</param>
    /// <param name="life">What belongs to another is too late.</param>
    public void Begin(MemberId self, long term, long life)
    {
        lock (_gate)
        {
            (_term, _life) = (term, life);
            _hasPlan.Reset();
            while (_steps.Count > 0) Release(_steps[0].Step);
            foreach (var link in _links.Values) link.Dispose();
            _links.Clear();
            _plans.Clear();
            _self = self;
            _rules = new WorkerProtocol(self, _options.Slices, _grid.Count);
            _linkOptions = new PeerLinkOptions(term, self, _options.Secret, _grid, _options.Transport, _arena, _options.Time, LinkReset, _owner.Unreachable);
        }
    }

    public void Planned(StepPlan plan)
    {
        using var stay = Enter();
        if (_closed) return;
        if (!IsSameCompany(plan)) Meet(plan);
        for (var i = _plans.Count - 1; i >= 0; i--)
        {
            if (_plans[i].Step < plan.Oldest || _plans[i].Step == plan.Step) _plans.RemoveAt(i);
        }
        _plans.Add(plan);
        foreach (var step in _steps)
        {
            if (step.Step < plan.Step - 1 && step.Users == 1) step.ForgetUnits(); // all who compute have made it: what a learner still lacks of it are means
        }
        Carry(Rules.Planned(plan));
        _hasPlan.Set();
        Monitor.PulseAll(_gate);
    }

    public void StateArrived(long life, long state)
    {
        using var stay = Enter();
        if (!_closed && life == _life) Carry(Rules.StateArrived(state));
    }

    /// <summary>The coordinator is there again: what is due to be told to it is told again.</summary>
    public void CoordinatorReturned()
    {
        using var stay = Enter();
        if (!_closed) Carry(Rules.CoordinatorReturned());
    }

    /// <summary>The last step there is a plan for, and how many members that has; −1 and 0 before the first.</summary>
    public (long PlannedUpTo, int Members) Plans()
    {
        lock (_gate) return _rules is { HasPlan: true } rules && PlanOf(rules.PlannedUpTo) is { } plan ? (plan.Step, plan.Members.Length) : (-1, 0);
    }

    public void SaveOrdered(SaveOrder order)
    {
        using var stay = Enter();
        if (!_closed) Carry(Rules.SaveOrdered(order));
    }

    public void SaveAnnounced(long step)
    {
        using var stay = Enter();
        // All are told, one that has yet to begin as well: it has nothing to let go of.
        if (!_closed && _rules is { } rules) Carry(rules.SaveAnnounced(step));
    }

    /// <summary>A sum to add a unit's slices to, not cleared; goes back in with <see cref="UnitStarted"/>, <see cref="UnitComputed"/> or <see cref="SharedBuffer.Release"/>.</summary>
    public SharedBuffer<long> RentSum() => _unitPool.Rent();

    /// <summary>Room for the values of a unit that is a single slice; goes back in as <see cref="RentSum"/>'s does.</summary>
    public SharedBuffer<float> RentValues() => _gradientPool.Rent();

    /// <summary>Null for a step that is over.</summary>
    public SliceSet? SlicesOf(long step, int unit)
    {
        lock (_gate) return PlanOf(step)?.Units.FirstOrDefault(known => known.Id == unit)?.Slices;
    }

    /// <summary>Takes over the hold on the unit's numbers, which are final in every shard.</summary>
    public void UnitComputed(long step, int unit, UnitSum sum)
    {
        using var stay = Enter();
        if (TakeOver(step, unit, sum)) Carry(Rules.UnitComputed(step, unit));
    }

    /// <summary>Takes over the hold on the unit's numbers; <see cref="UnitShardComputed"/> then says, shard by shard, that they are final.</summary>
    /// <returns>False when the step needs them no more.</returns>
    public bool UnitStarted(long step, int unit, UnitSum sum)
    {
        lock (_gate) return TakeOver(step, unit, sum);
    }

    /// <summary>The unit's numbers are final in this shard.</summary>
    /// <param name="note">The step's losses are read from the first shard's note; others need not know them yet.</param>
    public void UnitShardComputed(long step, int unit, int shard, ShardNote note)
    {
        using var stay = Enter();
        if (_closed || Rules.State != step || FindStep(step) is not { } buffers || !buffers.TryNote(unit, note)) return;
        Carry(Rules.UnitShardComputed(step, unit, shard));
    }

    /// <summary>The mean gradient of a step that is being applied, with the sum of its losses. Stands until <see cref="Applied"/>. Empty when the step was given up.</summary>
    public ReadOnlySpan<float> Reduced(long step, out ShardNote note)
    {
        lock (_gate)
        {
            note = default;
            GiveBackReduced();
            if (FindStep(step) is not { Reduced: { } reduced } buffers) return [];
            _applying = buffers;
            buffers.Users++;
            // The first shard's sum carries the losses; whether something did not fit is each shard's own to say.
            note = buffers.Shards[0].Note;
            foreach (var shard in buffers.Shards) note = note with { Invalid = note.Invalid | shard.Note.Invalid };
            return reduced.Span;
        }
    }

    /// <summary>Says, without a step forward, that what <see cref="Reduced"/> gave is not read any more.</summary>
    public void GiveBackReduced()
    {
        lock (_gate)
        {
            if (_applying is { } applied) Done(applied);
            _applying = null;
        }
    }

    public void Applied(long life, long step)
    {
        using var stay = Enter();
        GiveBackReduced();
        if (!_closed && life == _life && Rules.State == step) Carry(Rules.Applied(step));
    }

    /// <summary>Queues a shard's piece of a state for a learner; takes over one hold on <paramref name="values"/>.</summary>
    /// <param name="values">The shard's weights and slots, one after the other; as long as those of the longest shard.</param>
    public void SendState(MemberId to, long step, int shard, SharedBuffer<float> values, OptimizerPowers powers)
    {
        using var stay = Enter();
        SendTo(to, new Parcel(ParcelKind.State, step, shard, default, null, values, NumberForm.Float32, powers));
    }

    /// <summary>Whether a piece of this state, for this life, is of use, and up to where it is to be brought.</summary>
    public bool CanTake(long life, int shard, long state, out long followedUpTo)
    {
        lock (_gate)
        {
            followedUpTo = _rules?.FollowedUpTo ?? -1;
            return !_closed && life == _life && Rules.CanTake(shard, state);
        }
    }

    public void PieceTaken(long life, int shard, long state)
    {
        using var stay = Enter();
        GiveBackReduced();
        if (!_closed && life == _life) Carry(Rules.PieceTaken(shard, state));
    }

    public void Followed(long life, long step)
    {
        using var stay = Enter();
        GiveBackReduced();
        if (!_closed && life == _life) Carry(Rules.Followed(step));
    }

    public void Dispose()
    {
        lock (_gate)
        {
            if (_closed) return;
            _closed = true;
            foreach (var link in _links.Values) link.Dispose();
            _links.Clear();
            while (_steps.Count > 0) Release(_steps[0].Step);
            Monitor.PulseAll(_gate);
        }
        _listener.Dispose();
        _hasPlan.Set();
        _arena?.Release();
    }

    private WorkerProtocol Rules => _rules ?? throw new InvalidOperationException("The exchange has not begun.");

    private void LinkReset(MemberId peer)
    {
        using var stay = Enter();
        if (!_closed) Carry(Rules.LinkReset(peer));
    }

    private bool IsSameCompany(StepPlan plan)
    {
        foreach (var known in _plans)
        {
            if (known.Members != plan.Members || !known.Learners.IsEmpty || !plan.Learners.IsEmpty) return false;
        }
        return _plans.Count > 0;
    }

    private void Meet(StepPlan plan)
    {
        var wanted = _plans.Where(known => known.Step >= plan.Step - 1).Append(plan).SelectMany(known => known.Receivers)
            .DistinctBy(member => member.Id).ToDictionary(member => member.Id);
        foreach (var gone in _links.Keys.Where(id => !wanted.ContainsKey(id)).ToList())
        {
            _links.Remove(gone, out var link);
            link!.Dispose();
        }
        foreach (var member in wanted.Values.Where(member => member.Id != Rules.Self && !_links.ContainsKey(member.Id)))
        {
            _links.Add(member.Id, new PeerLink(member, _linkOptions!));
        }
    }

    private StepPlan? PlanOf(long step)
    {
        foreach (var plan in _plans)
        {
            if (plan.Step == step) return plan;
        }
        return null;
    }

    private StepBuffers? FindStep(long step)
    {
        foreach (var buffers in _steps)
        {
            if (buffers.Step == step) return buffers;
        }
        return null;
    }

    private StepBuffers StepOf(long step)
    {
        if (FindStep(step) is { } known) return known;
        var buffers = _spareSteps.TryPop(out var spare) ? spare : new StepBuffers(_grid.Count);
        buffers.Become(step);
        _steps.Add(buffers);
        return buffers;
    }

    private void Release(long step)
    {
        if (FindStep(step) is not { } buffers) return;
        _steps.Remove(buffers);
        Done(buffers);
    }

    /// <summary>One user less.</summary>
    private void Done(StepBuffers buffers)
    {
        if (--buffers.Users > 0) return;
        buffers.Forget();
        _spareSteps.Push(buffers);
    }

    private bool TakeOver(long step, int unit, UnitSum sum)
    {
        if (_closed || Rules.State != step)
        {
            sum.Numbers.Release();
            return false;
        }
        StepOf(step).Add(unit, sum);
        return true;
    }
}

/// <summary>Who an exchange belongs to: a worker that trains, or a bare all-reduce.</summary>
internal interface IExchangeOwner
{
    /// <summary>An effect that is not the exchange's own. Called under its lock: return soon.</summary>
    void Carry(WorkerEffect effect);

    /// <summary>A piece of a state, on its way to this worker. Its values stand until this returns.</summary>
    /// <param name="life">Of this worker, when it came.</param>
    void StatePiece(long life, StateFrame piece);

    void Unreachable(MemberId peer, string reason);

    void Log(string line);
}
