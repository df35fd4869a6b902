using System.Net.Sockets;

namespace Aisle.Identity.Tests;

/// <summary>An authority that serves its port.</summary>
internal sealed class Serving : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly Socket _listener = Loopback.Listen();
    private readonly System.Net.EndPoint _address;
    private readonly SemaphoreSlim _refused = new(0);
    private readonly Task _running;

    public Serving(Cluster cluster, AuthorityServerOptions? options = null)
    {
        Refusals = new RefusalLog((refusal, _) =>
        {
            lock (Told) Told.Add(refusal);
            _refused.Release();
        });
        _address = _listener.LocalEndPoint!;
        var server = new AuthorityServer(cluster.Authority, NodeId.Parse("node-1"), cluster.Time, Refusals, options ?? new() { Timeout = TimeSpan.FromSeconds(60) });
        _running = server.RunAsync(_listener, _stop.Token);
    }

    public RefusalLog Refusals { get; }

    public List<Refusal> Told { get; } = [];

    /// <summary>A caller may see its connection end a moment before the log has it: this waits for so many more refusals.</summary>
    public async Task RefusesAsync(int more)
    {
        for (var i = 0; i < more; i++) await _refused.WaitAsync(TestContext.Current.CancellationToken);
    }

    public Task<NetworkStream> ConnectAsync() => Loopback.ConnectAsync(_address);

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running;
        _listener.Dispose();
        _stop.Dispose();
        _refused.Dispose();
    }
}
