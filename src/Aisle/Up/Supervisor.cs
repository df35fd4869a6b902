using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text.Json;
using Aisle.Api;
using Aisle.Node;

namespace Aisle.Up;

public sealed record UpOptions
{
    /// <summary>Node processes on this machine, 1 to 16.</summary>
    public int Nodes { get; init => field = value is >= 1 and <= 16 ? value : throw new AisleException("AISLE-7030", $"{value} nodes cannot be started here.", "Start 1 to 16."); } = 3;

    /// <summary>Folder of the data centre: the token, the ledger and one folder a node.</summary>
    public required string Dir { get; init; }

    /// <summary>Port of the first node on loopback; 0 takes a free one.</summary>
    public int Port { get; init; } = 7070;
}

/// <summary>What <c>up --json</c> prints when the data centre is ready.</summary>
public sealed record UpReady(string Url, string TokenFile, string Dir, IReadOnlyList<UpNode> Nodes);

public sealed record UpNode(string Name, int Pid, string Dir);

/// <summary>
/// Starts the nodes of a data centre on this machine and keeps them running: a node that dies is started again over its own folder. It holds each
/// node's standard input, so that none outlives it.
/// </summary>
internal sealed class Supervisor : IAsyncDisposable
{
    private readonly UpOptions _options;
    private readonly string _token;
    private readonly Action<string> _say;
    private readonly List<NodeChild> _nodes = [];
    private readonly FileStream _lock;

    private Supervisor(UpOptions options, FileStream held, string token, Action<string> say)
    {
        _options = options;
        _lock = held;
        _token = token;
        _say = say;
    }

    private string TokenFile => Path.Combine(_options.Dir, "token");

    /// <summary>Starts all nodes and returns when every one of them serves and knows the others.</summary>
    /// <param name="say">Told, in one line each, what happens to the nodes.</param>
    public static async Task<(Supervisor Supervisor, UpReady Ready)> StartAsync(UpOptions options, Action<string> say, CancellationToken cancellationToken)
    {
        options = options with { Dir = Path.GetFullPath(options.Dir) };
        Supervisor supervisor;
        try
        {
            Directory.CreateDirectory(options.Dir);
            supervisor = new Supervisor(options, Hold(options.Dir), EnsureToken(Path.Combine(options.Dir, "token")), say);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new AisleException("AISLE-7031", $"{options.Dir} cannot be written: {e.Message}", "Choose another folder with --dir, or make it yours.", e);
        }
        try
        {
            return (supervisor, await supervisor.StartNodesAsync(cancellationToken));
        }
        catch
        {
            await supervisor.DisposeAsync();
            throw;
        }
    }

    /// <summary>Keeps the nodes running until cancelled.</summary>
    public Task RunAsync(CancellationToken cancellationToken) => Task.WhenAll(_nodes.Select(node => node.KeepRunningAsync(cancellationToken)));

    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(_nodes.Select(node => node.StopAsync()));
        await _lock.DisposeAsync();
    }

    private async Task<UpReady> StartNodesAsync(CancellationToken cancellationToken)
    {
        var first = new NodeChild(Config(1, new Uri($"http://127.0.0.1:{_options.Port}")) with { LedgerDir = Path.Combine(_options.Dir, "ledger") }, LogOf(1), _say);
        _nodes.Add(first);
        var head = await first.StartAsync(cancellationToken);
        for (var i = 2; i <= _options.Nodes; i++) _nodes.Add(new NodeChild(Config(i, new Uri("http://127.0.0.1:0")) with { Head = head.Url }, LogOf(i), _say));
        var others = await Task.WhenAll(_nodes.Skip(1).Select(node => node.StartAsync(cancellationToken)));

        using var client = new AisleClient(head.Url, _token);
        var patience = Stopwatch.StartNew();
        while ((await client.NodesAsync(cancellationToken)).Count(node => node.State == "up") < _options.Nodes)
        {
            if (patience.Elapsed > TimeSpan.FromSeconds(30))
                throw new AisleException("AISLE-7032", "Not all nodes found the first one within 30 s.", $"Look at the logs in {Path.Combine(_options.Dir, "logs")}.");
            await Task.Delay(50, cancellationToken);
        }
        Announce(head.Url);
        return new UpReady(head.Url.ToString(), TokenFile, _options.Dir, [.. others.Prepend(head).Zip(_nodes, (ready, node) => new UpNode(ready.Name, ready.Pid, node.Dir))]);
    }

    private NodeConfig Config(int number, Uri listen) => new()
    {
        Name = $"node-{number}",
        Dir = Path.Combine(_options.Dir, $"node-{number}"),
        Listen = listen,
        Token = _token,
        Copies = Math.Min(3, _options.Nodes),
        ExpectedNodes = _options.Nodes,
    };

    private string LogOf(int number) => Path.Combine(_options.Dir, "logs", $"node-{number}.log");

    /// <summary>Leaves word for the command line of this user; a data centre started elsewhere later takes its place.</summary>
    private void Announce(Uri url)
    {
        var file = new DataCentreFile(url.ToString(), TokenFile, _options.Dir, Environment.ProcessId);
        Directory.CreateDirectory(ServerLocation.Home);
        var temporary = ServerLocation.CurrentFile + "." + Environment.ProcessId;
        File.WriteAllBytes(temporary, JsonSerializer.SerializeToUtf8Bytes(file, ApiJson.Default.DataCentreFile));
        File.Move(temporary, ServerLocation.CurrentFile, overwrite: true);
    }

    private static FileStream Hold(string dir)
    {
        try
        {
            return new FileStream(Path.Combine(dir, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (e is not DirectoryNotFoundException)
        {
            throw new AisleException("AISLE-7033", $"Another `aisle up` runs over {dir}.", "Use that one (`aisle status`), stop it, or choose another folder with --dir.", e);
        }
    }

    /// <summary>256 random bits, written once, readable by the owner only from the first moment on.</summary>
    private static string EnsureToken(string file)
    {
        if (File.Exists(file)) return File.ReadAllText(file).Trim();
        var token = "aisle_" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32));
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using var writer = new StreamWriter(file, options);
        writer.WriteLine(token);
        return token;
    }
}
