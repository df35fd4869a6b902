using System.Net.Sockets;
using Aisle.Artifacts;
using Aisle.Training.Exchange;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;

namespace Aisle.Training;

/// <summary>
/// One worker's life: a thread that computes, one that listens to the coordinator, one that says it is alive, and those of the exchange.
/// Rules decide (<see cref="WorkerProtocol"/>, inside the exchange); this carries out what concerns the model, the coordinator and the disk.
/// </summary>
internal sealed partial class WorkerSession : IExchangeOwner, IDisposable
{
    private static readonly TimeSpan s_heartbeatEvery = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan s_coordinatorSilentFor = TimeSpan.FromSeconds(15);
    private readonly WorkerOptions _options;
    private readonly TrainingRecipe _recipe;
    private readonly TaskCompletionSource<WorkerOutcome> _outcome = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _ending = new();
    private readonly Thread _computing;
    private ITrainable _model = null!; // set on the computing thread before anything else starts
    private ShardExchange _exchange = null!;
    private ShardGrid _grid;
    private Connection? _coordinator;
    private Digest _canary;

    public WorkerSession(WorkerOptions options)
    {
        (_options, _recipe) = (options, options.Recipe);
        _round = Round;
        _computing = new Thread(Compute) { IsBackground = true, Name = "compute" };
    }

    public async Task<WorkerOutcome> RunAsync(CancellationToken cancellationToken)
    {
        await using var registration = cancellationToken.Register(() => End(null, new OperationCanceledException(cancellationToken)));
        Directory.CreateDirectory(_options.ScratchFolder);
        _computing.Start();
        try
        {
            return await _outcome.Task.ConfigureAwait(false);
        }
        finally
        {
            await Task.Run(_computing.Join, CancellationToken.None).ConfigureAwait(false);
        }
    }

    public void Log(string line) => _options.Log?.Invoke(line);

    public void Unreachable(MemberId peer, string reason) => Tell(new ControlMessage.Unreachable(peer));

    public void Dispose()
    {
        _coordinator?.Dispose();
        _ending.Dispose();
        _work.Dispose();
    }

    /// <summary>First call wins; every thread then finds its connection closed or its queue ended.</summary>
    private void End(WorkerOutcome? outcome, Exception? fault)
    {
        if (outcome is not null) _outcome.TrySetResult(outcome);
        else if (fault is OperationCanceledException) _outcome.TrySetCanceled();
        else _outcome.TrySetException(fault!);
        _ending.Cancel();
        _coordinator?.Dispose();
        _exchange?.Dispose();
        _work.CompleteAdding();
    }

    private void Join()
    {
        _exchange = new ShardExchange(
            new ExchangeOptions(
                _grid, _recipe.Slices, _recipe.SumFractionBits, step => _model.TokensIn(step), _options.Listen.Address, _options.Listen.Port, _options.Secret.ToArray(),
                _options.Transport, _options.Time),
            this);
        _inHand = new UnitInHand(_exchange, _grid, _recipe.SumFractionBits);
        _coordinator = Dial();
        _coordinator.ReceiveWithin(s_coordinatorSilentFor);
        _coordinator.SendWithin(s_coordinatorSilentFor);
        if (_ending.IsCancellationRequested) return;
        Tell(new ControlMessage.Introduce(
            _options.Name, _exchange.EndPoint.Port, new RunShape(_recipe.Digest, _recipe.Slices, _grid.Count, _recipe.Steps, _recipe.CheckpointEvery), _model.TokensIn(0), _canary, _options.NumericClass ?? _model.NumericClass));
        Start("coordinator", Listen);
        Start("heartbeat", Beat);

        void Start(string name, Action run) => new Thread(() => Guarded(run)) { IsBackground = true, Name = name }.Start();
    }

    private Connection Dial()
    {
        var start = _options.Time.GetTimestamp();
        while (true)
        {
            try
            {
                return Connection.Dial(_options.Coordinator, _options.Secret.Span);
            }
            catch (Exception e) when (e is SocketException or IOException)
            {
                if (_options.Time.GetElapsedTime(start) > _options.ConnectWithin || _ending.IsCancellationRequested)
                {
                    throw new AisleException("AISLE-5127", $"The coordinator at {_options.Coordinator} cannot be reached: {e.Message}", "Check that the job is running and that no firewall stands between.", e);
                }
                _ending.Token.WaitHandle.WaitOne(TimeSpan.FromMilliseconds(50));
            }
        }
    }

    private void Listen()
    {
        try
        {
            while (_coordinator!.TryReceive(out var kind, out var body))
            {
                if (kind != FrameKind.Control) throw ContributionFrame.Malformed(body.Length);
                if (!Obey(ControlMessage.Parse(body))) return;
            }
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
        {
            // Said below, the same for every way a connection ends.
        }
        throw new AisleException(
            _welcomed ? "AISLE-5128" : "AISLE-5127", "The connection to the coordinator ended.",
            "Either it is gone, and the job is started again from its newest checkpoint, or it took this worker for dead: start the worker again.");
    }

    private void Beat()
    {
        while (!_ending.Token.WaitHandle.WaitOne(s_heartbeatEvery)) Tell(new ControlMessage.Heartbeat());
    }

    private void Tell(ControlMessage message)
    {
        try
        {
            _coordinator?.Send(FrameKind.Control, message.ToJson());
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The listening thread sees the same break and says so.
        }
    }

    private void Guarded(Action run)
    {
        try
        {
            run();
        }
        catch (Exception e)
        {
            End(null, e);
        }
    }
}
