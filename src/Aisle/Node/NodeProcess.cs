using System.Net;
using System.Text.Json;
using Aisle.Api;
using Aisle.Artifacts;
using Aisle.Head;
using Aisle.Jobs;
using Aisle.Tensors;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Aisle.Node;

/// <summary>
/// One node: a disk store, an agent that runs processes, and a web server that speaks for both. The first node also keeps the ledger, the job
/// controller and the API. Everything is wired here and nowhere else.
/// </summary>
internal sealed class NodeProcess : IDisposable
{
    private static readonly TimeSpan RepairEvery = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan OrdersPatience = TimeSpan.FromSeconds(1);

    private readonly NodeConfig _config;
    private readonly TimeProvider _time = TimeProvider.System;
    private readonly string _incarnation = $"{Environment.ProcessId}-{Environment.TickCount64}";
    private readonly string _numericClass = NumericClass.OfThisMachine().Fingerprint;
    private readonly CancellationTokenSource _stopping = new();

    private NodeProcess(NodeConfig config) => _config = config;

    /// <summary>Reads its <see cref="NodeConfig"/> from standard input, serves until told to stop (SIGTERM, Ctrl-C, or the end of that input).</summary>
    public static async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        NodeProcess? node = null;
        // However the parent ended, its nodes do not outlive it; the pause is for an orderly end.
        var line = ParentWatch.ReadFirstLine(orphaned: () =>
        {
            node?._stopping.Cancel();
            Thread.Sleep(3000);
            Environment.Exit(3);
        });
        if (line is null) return 2;
        node = new NodeProcess(JsonSerializer.Deserialize(line, NodeJson.Default.NodeConfig) ?? throw new AisleException("AISLE-7020", "The node's configuration is empty.", "Start nodes with `aisle up`."));
        await using var told = cancellationToken.Register(node._stopping.Cancel);
        try
        {
            await node.ServeAsync();
            return 0;
        }
        catch (IOException e) when (e.InnerException is Microsoft.AspNetCore.Connections.AddressInUseException)
        {
            return Fail(new AisleException("AISLE-7021", $"{node._config.Listen} is taken by another program.", "Stop that program, or choose another port with --port (0 takes a free one)."));
        }
        catch (AisleException e)
        {
            return Fail(e);
        }
    }

    public void Dispose() => _stopping.Dispose();

    private static int Fail(AisleException e)
    {
        Console.Out.WriteLine(JsonSerializer.Serialize(new ErrorEnvelope(new ErrorView(e.Code, e.What, e.Next)), ApiJson.Default.ErrorEnvelope));
        return 1;
    }

    private async Task ServeAsync()
    {
        var stopping = _stopping.Token;
        using var disk = await DiskStore.OpenAsync(Path.Combine(_config.Dir, "store"), stopping);
        using var peers = new KnownPeers(_config.Name, _config.Token);
        await using var store = new ReplicatedStore(
            new StoreNode(_config.Name, disk), () => [.. peers.Stores.Select(peer => new StoreNode(peer.Key, peer.Value))],
            new ReplicationOptions { Copies = _config.Copies, ExpectedNodes = _config.ExpectedNodes }, disk.TemporaryDirectory, _time);
        var artifacts = new ArtifactStore(store);

        var app = BuildServer();
        app.Use(ErrorResponses.InvokeAsync);
        var authentication = new TokenAuthentication(_config.Token);
        app.Use(authentication.InvokeAsync);
        app.MapGet("/healthz", () => "ok");
        app.MapStore("/" + RemoteStore.Replica, disk);
        app.MapStore("/" + RemoteStore.DataCentre, store);

        await using var head = _config.LedgerDir is { } ledgerDir
            ? await HeadNode.OpenAsync(ledgerDir, artifacts, _config.Token, _incarnation, Path.Combine(_config.Dir, "records"), () => AddressOf(app), _time, app.Services.GetRequiredService<ILoggerFactory>(), stopping)
            : null;
        head?.Map(app);

        await app.StartAsync(stopping);
        var url = AddressOf(app);
        await using var agent = new Agent(new AgentOptions
        {
            Node = _config.Name,
            Command = [Environment.ProcessPath!, .. SelfArguments(), "job"],
            Server = url,
            Token = _config.Token,
            Scratch = Path.Combine(_config.Dir, "scratch"),
            Time = _time,
        });
        using var toHead = head is null ? new HttpTransport(_config.Head!, _config.Token) : null;
        var link = new AgentLink(agent, peers, cancellationToken => DescribeAsync(url, disk, store, cancellationToken),
            (report, cancellationToken) => head is null
                ? toHead!.SendAsync(HttpMethod.Post, "v1/agents/report", report, JobsJson.Default.AgentReport, JobsJson.Default.AgentOrders, cancellationToken)
                : head.AcceptAsync(report, cancellationToken),
            (seen, cancellationToken) => head is null
                ? toHead!.SendAsync(HttpMethod.Post, $"v1/agents/{_config.Name}/orders", seen, JobsJson.Default.OrdersVersion, JobsJson.Default.AgentOrders, cancellationToken)
                : head.Fleet.OrdersAsync(_config.Name, seen, OrdersPatience, cancellationToken),
            app.Services.GetRequiredService<ILogger<AgentLink>>());

        Console.Out.WriteLine(JsonSerializer.Serialize(new NodeReady(_config.Name, url, Environment.ProcessId), NodeJson.Default.NodeReady));
        Console.Out.Flush();
        using var stopOnSignal = app.Lifetime.ApplicationStopping.Register(_stopping.Cancel);
        try
        {
            await Task.WhenAll(link.RunAsync(stopping), RepairAsync(store, app.Logger, stopping), head?.RunAsync(stopping) ?? Task.CompletedTask);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // Told to stop.
        }
        await app.StopAsync(new CancellationTokenSource(TimeSpan.FromSeconds(2)).Token);
    }

    private WebApplication BuildServer()
    {
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory, Args = [] });
        builder.Logging.ClearProviders().AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.TimestampFormat = "HH:mm:ss.fff ";
            console.UseUtcTimestamp = true;
        });
        builder.Logging.SetMinimumLevel(LogLevel.Information).AddFilter("Microsoft", LogLevel.Warning);
        // Standard output carries the one line that the parent reads; everything else is talk.
        builder.Services.Configure<Microsoft.Extensions.Logging.Console.ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = 32L << 20;
            kestrel.Limits.MinRequestBodyDataRate = new MinDataRate(240, TimeSpan.FromSeconds(30));
            kestrel.Listen(IPAddress.Parse(_config.Listen.Host), _config.Listen.Port);
        });
        return builder.Build();
    }

    private async Task<AgentReport> DescribeAsync(Uri url, DiskStore disk, ReplicatedStore store, CancellationToken cancellationToken) => new(
        _config.Name, _incarnation, url, Environment.ProcessId, _config.Dir, _config.Slots, Environment.ProcessorCount, _numericClass,
        (await disk.ListShardsAsync(cancellationToken)).Count, disk.StoredBytes, FreeBytes(), store.Counters.CorruptionsFound, store.Counters.Repaired, [], []);

    private long FreeBytes()
    {
        try
        {
            return new DriveInfo(_config.Dir).AvailableFreeSpace;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return 0;
        }
    }

    private async Task RepairAsync(ReplicatedStore store, ILogger logger, CancellationToken stopping)
    {
        using var timer = new PeriodicTimer(RepairEvery, _time);
        while (await timer.WaitForNextTickAsync(stopping))
        {
            try
            {
                await store.RepairAsync(stopping);
            }
            catch (Exception e) when (e is AisleException or IOException)
            {
                logger.LogWarning("This round of repair did not finish: {Reason}", e.Message);
            }
        }
    }

    private static Uri AddressOf(WebApplication app) =>
        new(app.Services.GetRequiredService<IServer>().Features.GetRequiredFeature<IServerAddressesFeature>().Addresses.First() + "/");

    /// <summary>Arguments that start this program again: none for its own executable, the assembly's path under <c>dotnet</c>.</summary>
    internal static IReadOnlyList<string> SelfArguments() =>
        Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? [typeof(NodeProcess).Assembly.Location] : [];
}
