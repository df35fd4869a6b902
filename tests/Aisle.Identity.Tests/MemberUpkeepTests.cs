using System.Collections.Concurrent;

namespace Aisle.Identity.Tests;

public sealed class MemberUpkeepTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60); // for a busy machine; nothing here waits for it to pass
    private static readonly NodeTlsOptions Patient = new() { HandshakeTimeout = Patience };

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    /// <summary>A member whose upkeep runs; it tells what went wrong.</summary>
    private sealed class Kept : IAsyncDisposable
    {
        private readonly CancellationTokenSource _stop = new();
        private readonly Task _running;

        public Kept(NodeTls tls, TimeProvider time, Func<Task<Stream>> connect, string? file = null)
        {
            var upkeep = new MemberUpkeep(tls, new AuthorityClient(time, Patience), _ => connect(), time, error => Told.Add(error),
                new() { CredentialFile = file, RetryAfter = TimeSpan.FromMilliseconds(20) });
            _running = upkeep.RunAsync(_stop.Token);
        }

        public BlockingCollection<AisleException> Told { get; } = [];

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await _running;
            _stop.Dispose();
        }
    }

    private static async Task<(NodeStream Near, NodeStream Far)> MeetAsync(NodeTls near, NodeTls far)
    {
        var (caller, called) = await Loopback.PairAsync();
        var answering = far.WrapAsync(called, isServer: true, cancellationToken: Stop);
        return (await near.WrapAsync(caller, isServer: false, cancellationToken: Stop), await answering);
    }

    private static async Task AssertCutAsync(NodeStream stream)
    {
        try
        {
            Assert.Equal(0, await stream.ReadAsync(new byte[1], Stop)); // returns only when it is cut: nobody writes
        }
        catch (Exception cut) when (cut is IOException or ObjectDisposedException)
        {
            // As it may be.
        }
    }

    [Fact]
    public async Task A_denial_reaches_a_member_and_cuts_what_it_has_open_with_the_denied_node()
    {
        using var cluster = new Cluster();
        await using var serving = new Serving(cluster);
        var member = cluster.Tls("node-2", options: Patient);
        await using var kept = new Kept(member, cluster.Time, async () => await serving.ConnectAsync());
        var (near, far) = await MeetAsync(member, cluster.Tls("node-3", options: Patient));
        await using var _ = near;
        await using var __ = far;
        cluster.Authority.Deny(NodeId.Parse("node-3"));
        await AssertCutAsync(near);
        Assert.True(member.Trust.Denied.Contains(NodeId.Parse("node-3")));
        Assert.Empty(kept.Told);
    }

    [Fact]
    public async Task A_member_hears_of_a_denial_although_the_authority_was_away_in_between()
    {
        using var cluster = new Cluster();
        var serving = new Serving(cluster);
        var member = cluster.Tls("node-2", options: Patient);
        await using var kept = new Kept(member, cluster.Time, async () => await serving.ConnectAsync());
        var (near, far) = await MeetAsync(member, cluster.Tls("node-3", options: Patient));
        await using var _ = near;
        await using var __ = far;
        await serving.DisposeAsync();
        Assert.NotNull(await Task.Run(() => kept.Told.Take(Stop)));
        cluster.Authority.Deny(NodeId.Parse("node-3"));
        serving = new Serving(cluster);
        await AssertCutAsync(near);
        await serving.DisposeAsync();
    }

    [Fact]
    public async Task A_member_whose_renewal_is_due_gets_a_new_certificate_and_keeps_it()
    {
        var time = SteppedTime.Start();
        using var cluster = new Cluster(time);
        using var directory = new TemporaryDirectory();
        await using var serving = new Serving(cluster);
        var member = cluster.Tls("node-2", options: Patient);
        var file = directory.File("node.pem");
        member.Own.Save(file);
        time.Advance(TimeSpan.FromHours(16));
        using var watcher = new FileSystemWatcher(directory.Path);
        var saved = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        watcher.Renamed += (_, change) => { if (change.FullPath == file) saved.TrySetResult(); };
        watcher.EnableRaisingEvents = true;
        await using var kept = new Kept(member, time, async () => await serving.ConnectAsync(), file);
        await saved.Task.WaitAsync(Stop);
        Assert.Equal(time.GetUtcNow() + TimeSpan.FromHours(24), member.Own.ExpiresAt);
        Assert.Equal(member.Own.Certificate.SerialNumber, NodeCredential.Load(file).Certificate.SerialNumber);
    }

    [Fact]
    public async Task A_denied_member_is_told_so_and_gets_nothing_more()
    {
        using var cluster = new Cluster();
        await using var serving = new Serving(cluster);
        var member = cluster.Tls("node-2", options: Patient);
        cluster.Authority.Deny(NodeId.Parse("node-2"));
        await using var kept = new Kept(member, cluster.Time, async () => await serving.ConnectAsync());
        var told = await Task.Run(() => kept.Told.Take(Stop));
        Assert.True(told.Code is "AISLE-8037" or "AISLE-8040", told.Message);
        await serving.RefusesAsync(1);
        Assert.True(serving.Refusals.Count("AISLE-8035") >= 1);
    }

    [Fact]
    public async Task A_second_connection_of_one_member_ends_its_first()
    {
        using var cluster = new Cluster();
        await using var serving = new Serving(cluster);
        var own = cluster.Node("node-2");
        var client = new AuthorityClient(cluster.Time, Patience);
        cluster.Authority.Deny(NodeId.Parse("node-9"));
        var heard = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var first = client.FollowAsync(await serving.ConnectAsync(), own, cluster.Trust(), _ => heard.TrySetResult(), Stop);
        await heard.Task;
        using var stop = new CancellationTokenSource();
        var second = client.FollowAsync(await serving.ConnectAsync(), own, cluster.Trust(), _ => { }, stop.Token);
        await Assert.ThrowsAsync<AisleException>(() => first);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);
    }
}
