using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Aisle.Ledger.Tests.Chaos;

/// <summary>Writes one serial after the other, each once, in a session: asks whoever answers, and asks again until it is answered.</summary>
internal sealed class ChaosClient(MemberProcesses members, int number) : IDisposable
{
    public const int SerialsOfOneName = 500;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    private int _asks = number % members.Count + 1;
    private TcpClient? _connection;
    private StreamReader? _reader;

    /// <summary>Serials 1 to this were acknowledged.</summary>
    public long Acknowledged { get; private set; }

    /// <summary>When the newest acknowledgement came, and from whom.</summary>
    public (long At, int Member) Newest { get; private set; }

    /// <summary>What must never be said was said.</summary>
    public string? Broken { get; private set; }

    public static string NameOf(int client, long serial) => $"client{client}/{(serial - 1) / SerialsOfOneName}";

    public static string ContentOf(int client, long serial) => $"client {client} serial {serial}";

    /// <summary>Until it is cancelled, and the command that was under way then is answered.</summary>
    public async Task RunAsync(CancellationToken stop, CancellationToken ct)
    {
        var session = long.Parse((await AskUntilAnsweredAsync(new OpenSession($"client {number}", TimeSpan.FromHours(1)) { At = Make.Noon }, ct)).Split(' ')[1]);
        while (!stop.IsCancellationRequested && Broken is null)
        {
            var serial = Acknowledged + 1;
            // Were an acknowledged command lost, or one applied twice, this one would be refused.
            var move = Make.Move(NameOf(number, serial), ContentOf(number, serial), expected: (int)((serial - 1) % SerialsOfOneName));
            var answer = await AskUntilAnsweredAsync(new InSession(new SessionId(session), serial, move) { At = Make.Noon }, ct);
            if (answer != "done") Broken = $"client {number}, serial {serial}: {answer}";
            else Acknowledged = serial;
        }
        Dispose();
    }

    private async Task<string> AskUntilAnsweredAsync(LedgerCommand command, CancellationToken ct)
    {
        var line = Encoding.UTF8.GetString(LedgerCodec.Write(command)) + "\n";
        while (true)
        {
            var answer = await AskAsync(line, ct);
            if (answer is not null && !answer.StartsWith('!'))
            {
                Newest = (Stopwatch.GetTimestamp(), _asks);
                return answer;
            }
            var leader = answer?.Split(' ') is [var code, var said] && code == $"!{LedgerCodes.NotLeader}" ? int.Parse(said) : 0;
            if (leader == 0) await Task.Delay(5, ct);
            if (answer is not null && leader == 0 && !answer.StartsWith($"!{LedgerCodes.NotLeader}", StringComparison.Ordinal)) continue;
            Dispose();
            _asks = leader != 0 && leader != _asks ? leader : _asks % members.Count + 1;
        }
    }

    /// <returns>Null when nobody answered.</returns>
    private async Task<string?> AskAsync(string line, CancellationToken ct)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(ct);
        patience.CancelAfter(Patience);
        try
        {
            if (_connection is null)
            {
                _connection = new TcpClient { NoDelay = true };
                await _connection.ConnectAsync(IPAddress.Loopback, members.ClientPort(_asks), patience.Token);
                _reader = new StreamReader(_connection.GetStream());
            }
            await _connection.GetStream().WriteAsync(Encoding.UTF8.GetBytes(line), patience.Token);
            return await _reader!.ReadLineAsync(patience.Token);
        }
        catch (Exception e) when (e is IOException or SocketException || (e is OperationCanceledException && !ct.IsCancellationRequested))
        {
            return null;
        }
    }

    public void Dispose()
    {
        _reader?.Dispose();
        _connection?.Dispose();
        (_connection, _reader) = (null, null);
    }

    /// <summary>Asks one member one thing; null when it does not answer.</summary>
    public static async Task<string?> AskOnceAsync(MemberProcesses members, int member, string line, CancellationToken ct)
    {
        using var client = new ChaosClient(members, 0) { _asks = member };
        return await client.AskAsync(line + "\n", ct);
    }
}
