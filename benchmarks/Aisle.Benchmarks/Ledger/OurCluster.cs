using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Aisle.Artifacts;

namespace Aisle.Benchmarks.Ledger;

internal sealed class OurCluster : IWriteCluster
{
    private const int Members = 3;

    private readonly string _directory = Directory.CreateTempSubdirectory("aisle-bench-").FullName;
    private readonly int[] _peerPorts = Ports.Free(Members), _clientPorts = Ports.Free(Members);
    private readonly ChildProcess?[] _processes = new ChildProcess?[Members];
    private int _leads;

    public static async Task<OurCluster> StartAsync()
    {
        var cluster = new OurCluster();
        for (var member = 0; member < Members; member++) cluster.Begin(member);
        foreach (var process in cluster._processes) await process!.HearAsync();
        await cluster.LeaderAsync();
        return cluster;
    }

    public IWriteClient NewClient() => new Client(this);

    public async Task<int> LeaderAsync()
    {
        for (var member = 0; ; member = (member + 1) % Members)
        {
            if (_processes[member] is { HasEnded: false })
            {
                using var client = new Client(this) { Asks = member };
                if (int.TryParse(await client.SayAsync("?", TimeSpan.FromSeconds(1)), CultureInfo.InvariantCulture, out var leader) && leader > 0
                    && _processes[leader - 1] is { HasEnded: false } && await client.SayFromAsync(leader - 1, "?") == $"{leader}") return _leads = leader - 1;
            }
            await Task.Delay(10);
        }
    }

    public void Kill(int member) => _processes[member]!.Kill();

    public async Task RestartAsync(int member)
    {
        _processes[member]!.Dispose();
        Begin(member);
        await _processes[member]!.HearAsync();
    }

    private void Begin(int member) => _processes[member] = ChildProcess.Ours(
    [
        LedgerMemberRole.Role, Path.Combine(_directory, $"m{member + 1}"), $"{member + 1}", $"{_clientPorts[member]}", .. _peerPorts.Select(port => $"{port}"),
    ]);

    public ValueTask DisposeAsync()
    {
        foreach (var process in _processes) process?.Dispose();
        Directory.Delete(_directory, recursive: true);
        return ValueTask.CompletedTask;
    }

    private sealed class Client(OurCluster cluster) : IWriteClient
    {
        private TcpClient? _connection;
        private StreamReader? _reader;

        public int Asks { get; set; } = cluster._leads;

        public async Task<bool> WriteAsync(int client, long serial, int count, TimeSpan patience)
        {
            var line = new StringBuilder();
            for (var i = 0; i < count; i++) line.Append(line.Length == 0 ? "" : " ").Append(CultureInfo.InvariantCulture, $"bench/{client}/{(serial * count + i) % 256} {Digest.Of($"{serial}")}");
            return await SayAsync(line.ToString(), patience) == "ok";
        }

        public void GoOn()
        {
            Asks = (Asks + 1) % Members;
            Dispose();
        }

        public Task<string?> SayFromAsync(int member, string line)
        {
            Dispose();
            Asks = member;
            return SayAsync(line, TimeSpan.FromSeconds(1));
        }

        public async Task<string?> SayAsync(string line, TimeSpan patience)
        {
            using var waiting = new CancellationTokenSource(patience);
            try
            {
                if (_connection is null)
                {
                    _connection = new TcpClient { NoDelay = true };
                    await _connection.ConnectAsync(IPAddress.Loopback, cluster._clientPorts[Asks], waiting.Token);
                    _reader = new StreamReader(_connection.GetStream());
                }
                await _connection.GetStream().WriteAsync(Encoding.UTF8.GetBytes(line + "\n"), waiting.Token);
                return await _reader!.ReadLineAsync(waiting.Token);
            }
            catch (Exception e) when (e is IOException or SocketException or OperationCanceledException)
            {
                Dispose();
                return null;
            }
        }

        public void Dispose()
        {
            _reader?.Dispose();
            _connection?.Dispose();
            (_connection, _reader) = (null, null);
        }
    }
}
