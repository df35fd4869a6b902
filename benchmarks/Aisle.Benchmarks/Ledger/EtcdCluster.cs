using System.Buffers.Binary;
using System.Net;
using System.Net.Http.Headers;
using System.Text;

namespace Aisle.Benchmarks.Ledger;

/// <summary>etcd as Debian packs it, spoken to by gRPC as its own clients do: one HTTP/2 connection a member, shared by all.</summary>
internal sealed class EtcdCluster : IWriteCluster
{
    private const int Members = 3;
    private const string Packages = "etcd-server";

    private readonly string _directory = Directory.CreateTempSubdirectory("etcd-bench-").FullName;
    private readonly int[] _peerPorts = Ports.Free(Members), _clientPorts = Ports.Free(Members);
    private readonly ChildProcess?[] _processes = new ChildProcess?[Members];
    private readonly HttpClient _http = new(new SocketsHttpHandler { EnableMultipleHttp2Connections = false }) { DefaultRequestVersion = HttpVersion.Version20, DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact };
    private readonly string[] _options;
    private int _leads;

    private EtcdCluster(string[] options) => _options = options;

    /// <returns>False where it is absent and cannot be installed: standard error says so.</returns>
    public static async Task<bool> IsThereAsync()
    {
        if (!File.Exists("/usr/bin/etcd")) await ChildProcess.InstallAsync(Packages);
        if (File.Exists("/usr/bin/etcd")) return true;
        Console.Error.WriteLine($"The peer is absent: `apt-get install {Packages}` brings it. Only ours is measured.");
        return false;
    }

    public static async Task<EtcdCluster> StartAsync(params string[] options)
    {
        var cluster = new EtcdCluster(options);
        for (var member = 0; member < Members; member++) cluster.Begin(member);
        await cluster.LeaderAsync();
        return cluster;
    }

    public IWriteClient NewClient() => new Client(this);

    public async Task<int> LeaderAsync()
    {
        for (var member = 0; ; member = (member + 1) % Members)
        {
            if (_processes[member] is { HasEnded: false } && await CallAsync(member, "Maintenance/Status", [], TimeSpan.FromSeconds(1)) is { } status
                && Number(status, 4) is > 0 and var leader && Number(Part(status, 1), 2) == leader) return _leads = member;
            await Task.Delay(10);
        }
    }

    public void Kill(int member) => _processes[member]!.Kill();

    public async Task RestartAsync(int member)
    {
        _processes[member]!.Dispose();
        Begin(member);
        while (await CallAsync(member, "Maintenance/Status", [], TimeSpan.FromSeconds(1)) is null) await Task.Delay(20);
    }

    private void Begin(int member) => _processes[member] = ChildProcess.Of("/usr/bin/etcd",
    [
        "--name", $"m{member}", "--data-dir", Path.Combine(_directory, $"m{member}"), "--log-level", "error",
        "--listen-peer-urls", $"http://127.0.0.1:{_peerPorts[member]}", "--initial-advertise-peer-urls", $"http://127.0.0.1:{_peerPorts[member]}",
        "--listen-client-urls", $"http://127.0.0.1:{_clientPorts[member]}", "--advertise-client-urls", $"http://127.0.0.1:{_clientPorts[member]}",
        "--initial-cluster", string.Join(',', _peerPorts.Select((port, other) => $"m{other}=http://127.0.0.1:{port}")), .. _options,
    ]);

    /// <summary>One gRPC call.</summary>
    /// <returns>The answer; null when it failed.</returns>
    private async Task<byte[]?> CallAsync(int member, string method, byte[] request, TimeSpan patience)
    {
        var framed = new byte[5 + request.Length];
        BinaryPrimitives.WriteInt32BigEndian(framed.AsSpan(1), request.Length);
        request.CopyTo(framed, 5);
        using var message = new HttpRequestMessage(HttpMethod.Post, $"http://127.0.0.1:{_clientPorts[member]}/etcdserverpb.{method}")
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new ByteArrayContent(framed),
        };
        message.Content.Headers.ContentType = new MediaTypeHeaderValue("application/grpc");
        message.Headers.TE.Add(new TransferCodingWithQualityHeaderValue("trailers"));
        using var waiting = new CancellationTokenSource(patience);
        try
        {
            using var response = await _http.SendAsync(message, waiting.Token);
            var body = await response.Content.ReadAsByteArrayAsync(waiting.Token);
            return response.TrailingHeaders.TryGetValues("grpc-status", out var status) && status.First() == "0" && body.Length >= 5 ? body[5..] : null;
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException or IOException)
        {
            return null;
        }
    }

    // Protocol buffers, as much as is needed: https://protobuf.dev/programming-guides/encoding.
    private static byte[] Field(int number, byte[] bytes)
    {
        var head = new List<byte> { (byte)(number << 3 | 2) };
        var length = (uint)bytes.Length;
        for (; length >= 0x80; length >>= 7) head.Add((byte)(length | 0x80));
        return [.. head, (byte)length, .. bytes];
    }

    private static ulong Number(ReadOnlySpan<byte> message, int number) => Find(message, number, out var value) is 0 ? value : 0;

    private static ReadOnlySpan<byte> Part(ReadOnlySpan<byte> message, int number) => Find(message, number, out var value) is > 0 and var end ? message[(end - (int)value)..end] : [];

    /// <returns>Where a field of bytes ends; 0 for a number; -1 when there is none.</returns>
    private static int Find(ReadOnlySpan<byte> message, int number, out ulong value)
    {
        value = 0;
        for (var at = 0; at < message.Length;)
        {
            var key = Varint(message, ref at);
            value = Varint(message, ref at);
            var isBytes = (key & 7) == 2;
            if (isBytes) at += (int)value;
            if (key >> 3 == (ulong)number) return isBytes ? at : 0;
        }
        return -1;
    }

    private static ulong Varint(ReadOnlySpan<byte> message, ref int at)
    {
        var (value, shift) = (0UL, 0);
        while (true)
        {
            var next = message[at++];
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80) return value;
            shift += 7;
        }
    }

    public ValueTask DisposeAsync()
    {
        foreach (var process in _processes) process?.Dispose();
        _http.Dispose();
        Directory.Delete(_directory, recursive: true);
        return ValueTask.CompletedTask;
    }

    private sealed class Client(EtcdCluster cluster) : IWriteClient
    {
        private int _asks = cluster._leads;

        public async Task<bool> WriteAsync(int client, long serial, int count, TimeSpan patience)
        {
            byte[] Put(int i)
            {
                var key = Encoding.ASCII.GetBytes($"bench/{client}/{(serial * count + i) % 256}");
                var value = new byte[100 - key.Length];
                BitConverter.TryWriteBytes(value, serial);
                return [.. Field(1, key), .. Field(2, value)];
            }
            // A put by itself, or a transaction whose success does all puts: it has no condition.
            var answer = count == 1
                ? await cluster.CallAsync(_asks, "KV/Put", Put(0), patience)
                : await cluster.CallAsync(_asks, "KV/Txn", [.. Enumerable.Range(0, count).SelectMany(i => Field(2, Field(2, Put(i))))], patience);
            return answer is not null;
        }

        public void GoOn() => _asks = (_asks + 1) % Members;

        public void Dispose()
        {
        }
    }
}
