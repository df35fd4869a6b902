namespace Aisle.Benchmarks.Ledger;

/// <summary>Three members on this machine, and a way to write to them: ours, or etcd.</summary>
internal interface IWriteCluster : IAsyncDisposable
{
    /// <summary>A client of its own connection or stream. It asks the member that it last heard to lead.</summary>
    IWriteClient NewClient();

    /// <summary>Number of the member that leads, from 0.</summary>
    Task<int> LeaderAsync();

    void Kill(int member);

    /// <summary>Starts a killed one again, and returns when it serves.</summary>
    Task RestartAsync(int member);
}

internal interface IWriteClient : IDisposable
{
    /// <summary>Writes <paramref name="count"/> values of about 100 bytes, key included, as one request. Durable on a majority when it returns.</summary>
    /// <returns>False when it was not answered, or refused: ask again.</returns>
    Task<bool> WriteAsync(int client, long serial, int count, TimeSpan patience);

    /// <summary>Asks the next member from now on.</summary>
    void GoOn();
}

internal static class Ports
{
    /// <summary>Ports that nobody listens on now.</summary>
    public static int[] Free(int count)
    {
        var held = Enumerable.Range(0, count).Select(_ => new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0)).ToList();
        foreach (var listener in held) listener.Start();
        int[] ports = [.. held.Select(listener => ((System.Net.IPEndPoint)listener.LocalEndpoint).Port)];
        foreach (var listener in held) listener.Dispose();
        return ports;
    }
}
