using System.Net.Sockets;
using Aisle.Training.Exchange;
using Aisle.Training.Protocol;
using Aisle.Training.Wire;

namespace Aisle.Training;

/// <summary>
/// The connection to the coordinator, over and over. While there is none, the worker goes on with what it has a plan for; then it introduces itself
/// with the state it has, to the same coordinator or to one that starts with nothing in memory.
/// </summary>
internal sealed partial class WorkerSession
{
    private static readonly TimeSpan s_coordinatorSilentFor = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan s_dialEvery = TimeSpan.FromMilliseconds(50);
    private readonly Lock _telling = new(); // guards _coordinator; nothing else is locked while it is held
    private Connection? _coordinator;
    private bool _welcomed;
    private MemberId _self; // as the coordinator said last
    private MemberId _member; // as of the last begin
    private long _term;
    private volatile StateNow? _now; // null while there is no state, or a new one is being put in its place

    private sealed record StateNow(long State, StateReport Report);

    private void FollowCoordinator()
    {
        while (!_ending.IsCancellationRequested)
        {
            using var connection = Dial();
            if (connection is null || !Introduce(connection)) return;
            if (Hear(connection)) return;
            lock (_telling) _coordinator = null;
            if (_ending.IsCancellationRequested) return;
            if (!_welcomed) throw new AisleException("AISLE-5127", $"The coordinator at {_options.Coordinator} hung up.", "Check that the job is running and that the endpoint is its coordinator's.");
            Log("The coordinator's connection ended; looking for it or its next one.");
        }
    }

    private Connection? Dial()
    {
        var start = _options.Time.GetTimestamp();
        while (true)
        {
            try
            {
                var connection = Connection.Dial(_options.Coordinator, _options.Secret.Span);
                connection.ReceiveWithin(s_coordinatorSilentFor);
                connection.SendWithin(s_coordinatorSilentFor);
                return connection;
            }
            catch (Exception e) when (e is SocketException or IOException)
            {
                if (_ending.Token.WaitHandle.WaitOne(s_dialEvery)) return null;
                if (_options.Time.GetElapsedTime(start) < (_welcomed ? _options.ReconnectWithin : _options.ConnectWithin)) continue;
                throw _welcomed
                    ? new AisleException(
                        "AISLE-5128", $"The coordinator at {_options.Coordinator} is gone, and none came in its place for {_options.ReconnectWithin.TotalSeconds:0} s.",
                        "Start the coordinator again at the same endpoint with the same secret, then this worker: the run goes on from its newest checkpoint.", e)
                    : new AisleException("AISLE-5127", $"The coordinator at {_options.Coordinator} cannot be reached: {e.Message}", "Check that the job is running and that no firewall stands between.", e);
            }
        }
    }

    /// <returns>False when the session has ended meanwhile.</returns>
    private bool Introduce(Connection connection)
    {
        var (plannedUpTo, peers) = _exchange.Plans();
        lock (_telling)
        {
            if (_ending.IsCancellationRequested) return false;
            // Under the lock: a state reached from here on is reported on this connection, one reached before is in the introduction.
            var returning = _now is { } now && Volatile.Read(ref _life) is not 0 and var life ? new Returning(_term, _member, life, peers, plannedUpTo, now.State, now.Report) { Generation = _generation, ShutOut = _shutOut } : null;
            _coordinator = connection;
            Send(connection, new ControlMessage.Introduce(
                _options.Name, _exchange.EndPoint.Port, new RunShape(_recipe.Digest, _recipe.Slices, _grid.Count, _recipe.Steps, _recipe.CheckpointEvery), _model.TokensIn(0), _canary,
                _options.NumericClass ?? _model.NumericClass, returning));
            if (_options.Leaving.IsCancellationRequested) Send(connection, new ControlMessage.Leave());
        }
        return true;
    }

    /// <returns>True when there is nothing more to hear, false when the connection ended.</returns>
    private bool Hear(Connection connection)
    {
        try
        {
            while (connection.TryReceive(out var kind, out var body))
            {
                if (kind != FrameKind.Control) throw ContributionFrame.Malformed(body.Length);
                if (!Obey(ControlMessage.Parse(body))) return true;
            }
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
        {
            // However it ended, it ended.
        }
        return false;
    }

    private void Tell(ControlMessage message)
    {
        lock (_telling)
        {
            if (_coordinator is { } connection) Send(connection, message);
        }
    }

    private static void Send(Connection connection, ControlMessage message)
    {
        try
        {
            connection.Send(FrameKind.Control, message.ToJson());
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            connection.Dispose(); // the listening thread notices, and introduces itself anew
        }
    }

    private void HangUp()
    {
        lock (_telling) _coordinator?.Dispose();
    }
}
