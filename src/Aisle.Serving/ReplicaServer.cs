using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;

namespace Aisle.Serving;

/// <summary>A replica that listens: one model folder behind one address.</summary>
public sealed class ReplicaServer : IAsyncDisposable
{
    private readonly WebApplication _host;

    private ReplicaServer(WebApplication host, Replica replica)
    {
        (_host, Replica) = (host, replica);
        Url = new Uri(host.Urls.Single());
    }

    /// <summary>Where it listens, with the port it got.</summary>
    public Uri Url { get; }

    public Replica Replica { get; }

    /// <summary>Loads the model and listens. When this returns, requests are answered.</summary>
    /// <exception cref="AisleException">AISLE-50xx, 51xx, 6002: the model cannot be loaded. AISLE-6004: the address cannot be used.</exception>
    public static async Task<ReplicaServer> StartAsync(ReplicaOptions options, CancellationToken cancellationToken = default)
    {
        var replica = new Replica(TextGenerator.Load(options.ModelFolder), options);
        // The empty builder: no settings file or variable of the surroundings decides where a replica listens.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddRoutingCore();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = CompletionRequest.MostBodyBytes;
        });
        var host = builder.Build();
        try
        {
            host.Urls.Add(options.Url);
            host.MapOpenAi(replica);
            await host.StartAsync(cancellationToken);
            return new ReplicaServer(host, replica);
        }
        catch (Exception fault)
        {
            await host.DisposeAsync();
            replica.Dispose();
            if (fault is IOException or FormatException or InvalidOperationException or System.Net.Sockets.SocketException)
                throw new AisleException("AISLE-6004", $"The replica cannot listen on {options.Url}: {fault.Message}", "Choose a free port, or port 0 for any.", fault);
            throw;
        }
    }

    /// <summary>Stops listening, lets running requests end until <paramref name="cancellationToken"/> says otherwise.</summary>
    public Task StopAsync(CancellationToken cancellationToken = default) => _host.StopAsync(cancellationToken);

    /// <summary>Stops at once: running requests are cut off.</summary>
    public async ValueTask DisposeAsync()
    {
        await _host.StopAsync(new CancellationToken(canceled: true));
        await _host.DisposeAsync();
        Replica.Dispose();
    }
}
