using System.Net.Sockets;
using System.Text;
using Aisle.Artifacts;
using Aisle.Training.Checkpoints;
using CsCheck;

namespace Aisle.Training.Programs.Tests;

public sealed class CheckpointSocketTests
{
    [Fact]
    public async Task A_folder_comes_back_as_it_was_stored()
    {
        using var folder = new TemporaryFolder();
        await using var server = CheckpointSocket.Serve(new FolderCheckpointStore(folder["store"]), folder["socket"]);
        var store = new SocketCheckpointStore(folder["socket"]);
        Directory.CreateDirectory(folder["in"]);
        await File.WriteAllTextAsync(folder["in/a.txt"], "content");
        var digest = await store.SaveAsync(folder["in"], TestContext.Current.CancellationToken);
        Directory.CreateDirectory(folder["out"]);
        await store.LoadAsync(digest, folder["out"], TestContext.Current.CancellationToken);
        Assert.Equal("content", await File.ReadAllTextAsync(folder["out/a.txt"], TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task The_stores_own_refusal_reaches_the_caller()
    {
        using var folder = new TemporaryFolder();
        await using var server = CheckpointSocket.Serve(new FolderCheckpointStore(folder["store"]), folder["socket"]);
        var store = new SocketCheckpointStore(folder["socket"]);
        Directory.CreateDirectory(folder["out"]);
        var e = await Assert.ThrowsAsync<AisleException>(() => store.LoadAsync(Digest.Of("nothing"), folder["out"], TestContext.Current.CancellationToken));
        Assert.Equal("AISLE-5110", e.Code);
    }

    [Fact]
    public async Task Nobody_serving_is_said_so()
    {
        using var folder = new TemporaryFolder();
        var e = await Assert.ThrowsAsync<AisleException>(() => new SocketCheckpointStore(folder["none"]).SaveAsync(folder.Path, TestContext.Current.CancellationToken));
        Assert.Equal("AISLE-5176", e.Code);
    }

    [Fact]
    public async Task The_socket_goes_with_its_server_and_only_its_owner_may_use_it()
    {
        using var folder = new TemporaryFolder();
        await using (CheckpointSocket.Serve(new FolderCheckpointStore(folder["store"]), folder["socket"]))
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(folder["socket"]));
        Assert.False(File.Exists(folder["socket"]));
    }

    [Fact]
    public async Task Nonsense_is_answered_or_hung_up_on_and_the_next_caller_is_served()
    {
        using var folder = new TemporaryFolder();
        await using var server = CheckpointSocket.Serve(new FolderCheckpointStore(folder["store"]), folder["socket"]);
        var honest = Encoding.UTF8.GetBytes($"{{\"load\":\"{Digest.Of("x")}\",\"folder\":\"{folder["out"]}\"}}");
        Gen.Select(Gen.Int[0, honest.Length - 1], Gen.Byte, Gen.Int[0, 2]).Sample((at, value, how) =>
        {
            byte[] damaged = how switch
            {
                0 => [.. honest[..at], value, .. honest[(at + 1)..]],
                1 => honest[..at],
                _ => [.. honest[..at], value, .. honest[at..]],
            };
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            socket.Connect(new UnixDomainSocketEndPoint(folder["socket"]));
            socket.Send([.. damaged, (byte)'\n']);
            var answer = new byte[4096];
            var length = socket.Receive(answer);
            Assert.True(length == 0 || Encoding.UTF8.GetString(answer, 0, length).Contains("error"), Encoding.UTF8.GetString(answer, 0, length));
        }, iter: 200, threads: 1);

        using (var flood = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            flood.Connect(new UnixDomainSocketEndPoint(folder["socket"]));
            flood.Send(new byte[16 * 1024]); // no line is so long
            Assert.Equal(0, flood.Receive(new byte[16]));
        }
        await A_folder_comes_back_as_it_was_stored();
    }
}
