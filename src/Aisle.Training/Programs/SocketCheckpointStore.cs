using System.Net.Sockets;
using System.Text.Json;
using Aisle.Artifacts;
using Aisle.Training.Checkpoints;

namespace Aisle.Training.Programs;

/// <summary>The store of whoever started this program, reached through a socket file of this machine: it reads and fills folders that both can see.</summary>
public sealed class SocketCheckpointStore(string path) : ICheckpointStore
{
    public async Task<Digest> SaveAsync(string folder, CancellationToken cancellationToken) =>
        await AskAsync(new StoreRequest { Save = Path.GetFullPath(folder) }, cancellationToken).ConfigureAwait(false)
        ?? throw new AisleException("AISLE-5176", $"What serves {path} stored a folder and did not say as what.", "Start both from one version.");

    public async Task LoadAsync(Digest digest, string folder, CancellationToken cancellationToken) =>
        await AskAsync(new StoreRequest { Load = digest, Folder = Path.GetFullPath(folder) }, cancellationToken).ConfigureAwait(false);

    private async Task<Digest?> AskAsync(StoreRequest request, CancellationToken cancellationToken)
    {
        try
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellationToken).ConfigureAwait(false);
            await using var stream = new NetworkStream(socket);
            await StoreLines.WriteAsync(stream, JsonSerializer.SerializeToUtf8Bytes(request, StoreJson.Default.StoreRequest), cancellationToken).ConfigureAwait(false);
            var line = await StoreLines.ReadAsync(stream, cancellationToken).ConfigureAwait(false) ?? throw new IOException("it hung up without an answer");
            var answer = JsonSerializer.Deserialize(line, StoreJson.Default.StoreAnswer) ?? throw new JsonException("it answered nothing");
            return answer.Error is { } error ? throw new AisleException(error.Code, error.What, error.Next) : answer.Digest;
        }
        catch (Exception e) when (e is SocketException or IOException or JsonException or FormatException)
        {
            throw new AisleException("AISLE-5176", $"The store at {path} cannot be used: {e.Message}", "It ends with the run that this worker was started for.", e);
        }
    }
}
