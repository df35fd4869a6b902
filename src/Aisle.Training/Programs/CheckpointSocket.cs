using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Serialization;
using Aisle.Artifacts;
using Aisle.Training.Checkpoints;

namespace Aisle.Training.Programs;

/// <summary>
/// Lends a store to programs of this machine through a socket file: <c>{"save": folder}</c> is answered with <c>{"digest": …}</c>, and
/// <c>{"load": digest, "folder": …}</c> with <c>{}</c> once the folder is filled; one request a connection, each message one line. The file is readable
/// by its owner alone, and the folders are those that the owner can read anyway. Thread-safe.
/// </summary>
public sealed class CheckpointSocket : IAsyncDisposable
{
    private readonly ICheckpointStore _store;
    private readonly string _path;
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly CancellationTokenSource _ending = new();
    private readonly Lock _gate = new(); // guards _serving
    private readonly HashSet<Task> _serving = [];
    private readonly Task _accepting;

    private CheckpointSocket(ICheckpointStore store, string path)
    {
        (_store, _path) = (store, path);
        _listener.Bind(new UnixDomainSocketEndPoint(path));
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        _listener.Listen(16);
        _accepting = AcceptAsync();
    }

    /// <param name="path">Must not exist; at most about 100 bytes, as sockets have it.</param>
    public static CheckpointSocket Serve(ICheckpointStore store, string path) => new(store, path);

    /// <summary>As <c>AISLE_STORE</c> names it.</summary>
    public string Address => $"unix:{_path}";

    /// <summary>Waits for what is being stored to be given up.</summary>
    public async ValueTask DisposeAsync()
    {
        await _ending.CancelAsync().ConfigureAwait(false);
        _listener.Dispose();
        await _accepting.ConfigureAwait(false);
        Task[] left;
        lock (_gate) left = [.. _serving];
        await Task.WhenAll(left).ConfigureAwait(false);
        File.Delete(_path);
        _ending.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!_ending.IsCancellationRequested)
        {
            try
            {
                var socket = await _listener.AcceptAsync(_ending.Token).ConfigureAwait(false);
                var serving = ServeAsync(socket);
                lock (_gate) _serving.Add(serving);
                _ = serving.ContinueWith(
                    ended =>
                    {
                        lock (_gate) _serving.Remove(ended);
                    },
                    CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
            {
                // Closed, or a caller that was gone before it was answered.
            }
        }
    }

    private async Task ServeAsync(Socket socket)
    {
        try
        {
            using (socket)
            {
                await using var stream = new NetworkStream(socket);
                if (await StoreLines.ReadAsync(stream, _ending.Token).ConfigureAwait(false) is not { } line) return;
                var answer = await AnswerAsync(line).ConfigureAwait(false);
                await StoreLines.WriteAsync(stream, JsonSerializer.SerializeToUtf8Bytes(answer, StoreJson.Default.StoreAnswer), _ending.Token).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // The worker is gone, or the run is over: nobody waits for an answer.
        }
    }

    private async Task<StoreAnswer> AnswerAsync(byte[] line)
    {
        try
        {
            return JsonSerializer.Deserialize(line, StoreJson.Default.StoreRequest) switch
            {
                { Save: { } folder, Load: null, Folder: null } => new StoreAnswer { Digest = await _store.SaveAsync(folder, _ending.Token).ConfigureAwait(false) },
                { Save: null, Load: { } digest, Folder: { } folder } => await LoadAsync(digest, folder).ConfigureAwait(false),
                _ => Refusal("it is neither {\"save\": folder} nor {\"load\": digest, \"folder\": folder}"),
            };
        }
        catch (AisleException e)
        {
            return new StoreAnswer { Error = new StoreError(e.Code, e.What, e.Next) };
        }
        catch (Exception e) when (e is JsonException or FormatException or IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException or InvalidOperationException)
        {
            return Refusal(e.Message);
        }

        static StoreAnswer Refusal(string why) => new() { Error = new StoreError("AISLE-5176", $"The store cannot do what it was asked: {why}", "Start both from one version, and look at the folder's permissions.") };
    }

    private async Task<StoreAnswer> LoadAsync(Digest digest, string folder)
    {
        await _store.LoadAsync(digest, folder, _ending.Token).ConfigureAwait(false);
        return new StoreAnswer();
    }
}

/// <summary>Messages as lines, none longer than any honest one.</summary>
internal static class StoreLines
{
    private const int MostBytes = 16 * 1024;

    public static async Task WriteAsync(Stream stream, byte[] json, CancellationToken cancellationToken) =>
        await stream.WriteAsync((byte[])[.. json, (byte)'\n'], cancellationToken).ConfigureAwait(false);

    /// <returns>Null when the other side hung up first.</returns>
    /// <exception cref="IOException">The line is too long.</exception>
    public static async Task<byte[]?> ReadAsync(Stream stream, CancellationToken cancellationToken)
    {
        var buffer = new byte[MostBytes];
        var length = 0;
        while (length < MostBytes)
        {
            var received = await stream.ReadAsync(buffer.AsMemory(length), cancellationToken).ConfigureAwait(false);
            if (received == 0) return null;
            var end = buffer.AsSpan(length, received).IndexOf((byte)'\n');
            if (end >= 0) return buffer[..(length + end)];
            length += received;
        }
        throw new IOException($"a message is longer than {MostBytes} bytes");
    }
}

internal sealed record StoreRequest
{
    public string? Save { get; init; }

    public Digest? Load { get; init; }

    public string? Folder { get; init; }
}

internal sealed record StoreAnswer
{
    public Digest? Digest { get; init; }

    public StoreError? Error { get; init; }
}

internal sealed record StoreError(string Code, string What, string Next);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(StoreRequest))]
[JsonSerializable(typeof(StoreAnswer))]
internal sealed partial class StoreJson : JsonSerializerContext;
