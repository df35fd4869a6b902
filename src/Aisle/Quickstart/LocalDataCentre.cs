using System.Text.Json;
using Aisle.Api;
using Aisle.Up;

namespace Aisle.Quickstart;

/// <summary>The data centre that the story happens in: three nodes on loopback, and a client that talks to them.</summary>
internal sealed class LocalDataCentre : IAsyncDisposable
{
    private readonly UpProcess _up;

    private LocalDataCentre(UpProcess up, UpReady ready, AisleClient client) => (_up, Ready, Client) = (up, ready, client);

    public int Pid => _up.Pid;

    public UpReady Ready { get; }

    public AisleClient Client { get; }

    /// <param name="stays">It may be left running, so it becomes the one that this user's commands find by themselves; else the one they found before stays.</param>
    public static async Task<LocalDataCentre> StartAsync(string folder, int nodes, bool stays, CancellationToken cancellationToken)
    {
        var up = UpProcess.Start(Path.Combine(folder, "data-centre"), nodes, stays ? null : Path.Combine(folder, "home"), stays);
        try
        {
            var line = await up.ReadyAsync(cancellationToken);
            var ready = JsonSerializer.Deserialize(line, QuickstartJson.Default.UpReady)!;
            var token = (await File.ReadAllTextAsync(ready.TokenFile, cancellationToken)).Trim();
            return new LocalDataCentre(up, ready, new AisleClient(new Uri(ready.Url), token));
        }
        catch
        {
            await up.DisposeAsync();
            throw;
        }
    }

    public void LeaveRunning() => _up.LeaveRunning();

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _up.DisposeAsync();
    }
}
