using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Aisle.Artifacts;
using Aisle.Training.Exchange;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;

namespace Aisle.Training;

/// <summary>What a coordinator is given.</summary>
public sealed record CoordinatorOptions
{
    /// <summary>With <see cref="ParameterCount"/>: what every worker must have. Without either, the first worker's recipe and model are the run's.</summary>
    public TrainingRecipe? Recipe { get; init; }

    /// <summary>Parameters of the model that the recipe describes: decides how it is cut into shards.</summary>
    public int? ParameterCount { get; init; }

    /// <summary>Shared by the job's coordinator and workers, and nobody else.</summary>
    public required ReadOnlyMemory<byte> Secret { get; init; }

    /// <summary>Port 0 takes any free one.</summary>
    public IPEndPoint Listen { get; init; } = new(IPAddress.Loopback, 0);

    /// <summary>A checkpoint to start from instead of the seed.</summary>
    public (long Step, Digest Digest)? ResumeFrom { get; init; }

    /// <summary>Ends the run early, with a checkpoint of that step in place of a model.</summary>
    public long? StopAtStep { get; init; }

    /// <summary>Workers to wait for before the first step.</summary>
    public int MinimumWorkers { get; init; } = 1;

    /// <summary>
    /// The part of all slices that a second worker computes too, to find machines that compute wrongly: 0 for none, 1 for every slice, and then no
    /// wrong one changes a weight. Costs as much of the run's time.
    /// </summary>
    public double AuditFraction
    {
        get;
        init => field = value is >= 0 and <= 1 ? value : throw new ArgumentOutOfRangeException(nameof(AuditFraction), value, "From 0 for no audits to 1 for every slice.");
    } = UsualAuditFraction;

    internal const double UsualAuditFraction = 1.0 / 64;

    /// <summary>A worker that says nothing for so long is suspected: others do its work too, and it counts again once it speaks. Workers speak every 250 ms.</summary>
    public TimeSpan SuspectAfter { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>So many steps in a row whose gradient was no number end the run. At least 1.</summary>
    public int MostSkippedInARow { get; init; } = SkippedSteps.MostInARow;

    /// <summary>A worker that says nothing for so long is hung up on. If it still lives it comes back, and learns the state anew.</summary>
    public TimeSpan GiveUpAfter { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>How long to wait for workers that may come back with a state before going on without them.</summary>
    public TimeSpan ReunionWithin { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>Called for each event, one at a time, on a thread that the run waits for: return soon.</summary>
    public Action<TrainingEvent>? Event { get; init; }

    public Action<string>? Log { get; init; }

    public TimeProvider Time { get; init; } = TimeProvider.System;
}

/// <summary>
/// Leads one run: lets workers in, shares out slices and shards, notices deaths. It holds no weights and computes nothing, so it can live in any
/// process; when it is lost, start another at the same endpoint with the same secret: its workers come back with their states, and no step is lost.
/// </summary>
public sealed partial class Coordinator : IAsyncDisposable
{
    private static readonly TimeSpan s_tickEvery = TimeSpan.FromMilliseconds(250);
    private readonly CoordinatorOptions _options;
    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly long _start;
    private readonly CancellationTokenSource _ending = new();
    private readonly TaskCompletionSource<TrainingOutcome> _outcome = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _gate = new(); // guards what follows; held while rules run and their effects are carried out
    private readonly CoordinatorProtocol _rules;
    private readonly Dictionary<MemberId, Seat> _connections = [];
    private readonly List<(long, Digest)> _checkpoints = [];
    private Digest? _model;
    private StateReport _latest;
    private TimeSpan _latestAt;

    private Coordinator(CoordinatorOptions options)
    {
        _options = options;
        _start = options.Time.GetTimestamp();
        var lastStep = Math.Min(options.StopAtStep ?? long.MaxValue, options.Recipe?.Steps ?? long.MaxValue);
        if (options.ResumeFrom is { Step: var from } && (from < 0 || from > lastStep))
        {
            throw new AisleException("AISLE-5114", $"The run ends at step {lastStep}, before step {from} of its checkpoint.", "Resume from an earlier checkpoint, or stop later.");
        }
        _rules = new CoordinatorProtocol(new CoordinatorRules
        {
            Run = ShapeOf(options),
            StopAtStep = options.StopAtStep,
            ResumeFrom = options.ResumeFrom,
            MinimumWorkers = options.MinimumWorkers,
            AuditFraction = options.AuditFraction,
            Term = RandomNumberGenerator.GetInt32(int.MaxValue) * (1L << 31),
            TickEvery = s_tickEvery,
            SuspectAfter = options.SuspectAfter,
            MostSkippedInARow = options.MostSkippedInARow,
            GiveUpAfter = options.GiveUpAfter,
            ReunionWithin = options.ReunionWithin,
        });
        if (options.AuditFraction == 0) options.Log?.Invoke("No slice is audited: a machine that computes wrongly would not be found.");
        else if (options.AuditFraction != CoordinatorOptions.UsualAuditFraction)
            options.Log?.Invoke(string.Create(CultureInfo.InvariantCulture, $"{options.AuditFraction:P2} of all slices are computed by a second worker too."));
        _listener.Bind(options.Listen);
        _listener.Listen(128);
        EndPoint = (IPEndPoint)_listener.LocalEndPoint!;
        new Thread(Accept) { IsBackground = true, Name = "workers" }.Start();
        new Thread(Tick) { IsBackground = true, Name = "tick" }.Start();
    }

    /// <exception cref="AisleException">AISLE-5114: it is to end before it begins.</exception>
    /// <exception cref="SocketException">The endpoint is taken.</exception>
    public static Coordinator Start(CoordinatorOptions options) => new(options);

    /// <summary>Where workers connect.</summary>
    public IPEndPoint EndPoint { get; }

    /// <summary>What the run is; null until the first worker has said it, where the options did not. Thread-safe.</summary>
    public RunShape? Run
    {
        get
        {
            lock (_gate) return _rules.Run;
        }
    }

    /// <summary>Ends when the result is stored, and fails with an <see cref="AisleException"/> when it cannot be.</summary>
    public Task<TrainingOutcome> Completion => _outcome.Task;

    private static RunShape? ShapeOf(CoordinatorOptions options) => options switch
    {
        { Recipe: { } recipe, ParameterCount: { } count } => new RunShape(recipe.Digest, recipe.Slices, new ShardGrid(count).Count, recipe.Steps, recipe.CheckpointEvery),
        { Recipe: null, ParameterCount: null } => null,
        _ => throw new ArgumentException("Give both a recipe and its model's parameter count, or neither.", nameof(options)),
    };

    private TimeSpan Now => _options.Time.GetElapsedTime(_start);

    public ValueTask DisposeAsync()
    {
        _outcome.TrySetCanceled();
        _ending.Cancel();
        _listener.Dispose();
        lock (_gate)
        {
            foreach (var seat in _connections.Values) seat.Connection.Dispose();
        }
        return ValueTask.CompletedTask;
    }

    private void Accept()
    {
        while (!_ending.IsCancellationRequested)
        {
            try
            {
                var socket = _listener.Accept();
                new Thread(() => Serve(socket)) { IsBackground = true, Name = "a worker" }.Start();
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // Closed, or one caller that was gone before it was answered.
            }
        }
    }

    private void Tick()
    {
        while (!_ending.Token.WaitHandle.WaitOne(s_tickEvery))
        {
            lock (_gate)
            {
                Carry(_rules.Ticked(Now));
                foreach (var id in _connections.Keys.ToList()) Tell(id, new ControlMessage.Heartbeat());
            }
        }
    }

    private void Serve(Socket socket)
    {
        var reason = "its connection ended";
        Seat? seat = null;
        Connection? connection = null;
        try
        {
            connection = Connection.Accept(socket, _options.Secret.Span);
            // A worker that does not read is a worker that is not there: nobody waits for it.
            connection.SendWithin(_options.SuspectAfter);
            connection.ReceiveWithin(2 * _options.GiveUpAfter);
            while (connection.TryReceive(out var kind, out var body))
            {
                if (kind != FrameKind.Control) throw ContributionFrame.Malformed(body.Length);
                var message = ControlMessage.Parse(body);
                lock (_gate)
                {
                    if (seat is null) seat = Introduce(connection, message);
                    else Hear(seat.Id, message);
                }
            }
        }
        catch (AisleException e)
        {
            reason = e.Message;
            _options.Log?.Invoke(e.Message);
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
        {
            reason = $"its connection broke ({e.InnerException?.Message ?? e.Message})";
        }
        finally
        {
            connection?.Dispose();
            socket.Dispose();
            if (seat is not null) Forget(seat, reason);
        }
    }

    private void Forget(Seat seat, string reason)
    {
        lock (_gate)
        {
            // Unless it has come back on another connection meanwhile.
            if (!_connections.TryGetValue(seat.Id, out var current) || current != seat) return;
            _connections.Remove(seat.Id);
            if (!_ending.IsCancellationRequested) Carry(_rules.Lost(seat.Id, reason, Now));
        }
    }

    private Seat Introduce(Connection connection, ControlMessage message)
    {
        if (message is not ControlMessage.Introduce hello) throw new AisleException("AISLE-5131", "A worker's first message is not its introduction.", "Start the coordinator and all workers from one version.");
        hello.Run.ThrowIfImpossible();
        var effects = _rules.Introduced(
            new Introduction(hello.Name, connection.Remote.Address.ToString(), hello.Port, hello.Run, hello.TokensPerStep, hello.Canary, hello.NumericClass) { Returning = hello.Returning }, Now, out var id);
        if (_connections.TryGetValue(id, out var before)) before.Connection.Dispose();
        var seat = _connections[id] = new Seat(hello.Name, connection) { Id = id };
        Tell(id, new ControlMessage.Welcome(id));
        Carry(effects);
        return seat;
    }

    /// <summary>A worker's connection, and who it is at the moment.</summary>
    private sealed class Seat(string name, Connection connection)
    {
        public string Name => name;

        public Connection Connection => connection;

        public required MemberId Id { get; set; }
    }

    private IReadOnlyList<CoordinatorEffect> Reached(MemberId from, ControlMessage.Reached reached)
    {
        _rules.Timed(from, reached.Times.Slices, TimeSpan.FromMicroseconds(reached.Times.ComputeMicros));
        Carry(_rules.Reached(from, reached.Life, reached.State, reached.Report, Now));
        if (reached.Times.TotalMicros > 0 && _connections.TryGetValue(from, out var seat)) Raise(new WorkerStepped(Now, reached.State, seat.Name, reached.Times));
        return [];
    }

    private void Hear(MemberId from, ControlMessage message) => Carry(message switch
    {
        ControlMessage.Reached reached => Reached(from, reached),
        ControlMessage.Learning learning => _rules.Learning(from, learning.Life, learning.State, Now),
        ControlMessage.SliceHashed hashed => _rules.SliceHashed(from, hashed.Life, hashed.Step, hashed.Slice, hashed.Hash, Now),
        ControlMessage.SelfAccused accused => _rules.SelfAccused(from, accused.Life, accused.State, accused.What, Now),
        ControlMessage.Unreachable unreachable => _rules.Unreachable(from, unreachable.Life, unreachable.Peer, Now),
        ControlMessage.Saved saved => _rules.Saved(from, saved.Step, saved.Checkpoint, saved.Model, saved.Generation, saved.Hash, Now),
        ControlMessage.NotSaved notSaved => _rules.NotSaved(from, notSaved.Step, notSaved.Reason, Now),
        ControlMessage.Computed computed => _rules.UnitComputed(from, computed.Life, computed.Unit, Now),
        ControlMessage.Leave => _rules.Leaving(from, Now),
        ControlMessage.Heartbeat => _rules.Heard(from, Now),
        _ => throw new AisleException("AISLE-5131", $"A worker does not say {message.GetType().Name}.", "Start the coordinator and all workers from one version."),
    });
}
