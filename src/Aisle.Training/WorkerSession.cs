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
    private readonly WorkerOptions _options;
    private readonly TrainingRecipe _recipe;
    private readonly TaskCompletionSource<WorkerOutcome> _outcome = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _ending = new();
    private readonly Thread _computing;
    private ITrainable _model = null!; // set on the computing thread before anything else starts
    private ShardExchange _exchange = null!;
    private ShardGrid _grid;
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
        await using var leaving = _options.Leaving.Register(() => Tell(new ControlMessage.Leave()));
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

    public void Unreachable(MemberId peer, string reason) => Tell(new ControlMessage.Unreachable(Volatile.Read(ref _life), peer));

    public void Dispose()
    {
        HangUp();
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
        HangUp();
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
        if (_ending.IsCancellationRequested) return;
        Start("coordinator", FollowCoordinator);
        Start("heartbeat", Beat);

        void Start(string name, Action run) => new Thread(() => Guarded(run)) { IsBackground = true, Name = name }.Start();
    }

    private void Beat()
    {
        while (!_ending.Token.WaitHandle.WaitOne(s_heartbeatEvery)) Tell(new ControlMessage.Heartbeat());
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
