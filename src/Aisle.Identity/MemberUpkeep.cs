using System.Net.Sockets;

namespace Aisle.Identity;

public sealed record MemberUpkeepOptions
{
    /// <summary>Where the renewed credential is kept; null keeps it in memory only.</summary>
    public string? CredentialFile { get; init; }

    /// <summary>Names and addresses that callers reach this machine by.</summary>
    public IReadOnlyList<string> Addresses { get; init; } = [];

    /// <summary>Pause after the authority could not be reached; a renewal has eight hours of these.</summary>
    public TimeSpan RetryAfter { get; init; } = TimeSpan.FromSeconds(5);
}

/// <summary>Keeps a node a member: renews its certificate in time, and takes each new deny list as the authority pushes it. While the authority is away, the node
/// goes on with what it has, and this tries again.</summary>
/// <param name="connect">Opens a connection to the authority; a failure is an <see cref="IOException"/> or a <see cref="SocketException"/>.</param>
/// <param name="told">Each failure to reach the authority, or its refusal; quick, never throws.</param>
public sealed class MemberUpkeep(
    NodeTls tls, AuthorityClient client, Func<CancellationToken, Task<Stream>> connect, TimeProvider time, Action<AisleException> told, MemberUpkeepOptions? options = null)
{
    // The calendar is looked at this often: a machine that slept, or whose clock was set, is not late by more.
    private static readonly TimeSpan Look = TimeSpan.FromMinutes(1);

    private readonly MemberUpkeepOptions _options = options ?? new();

    /// <summary>Runs until cancelled.</summary>
    public Task RunAsync(CancellationToken cancellationToken) => Task.WhenAll(RenewAsync(cancellationToken), FollowAsync(cancellationToken));

    private Task RenewAsync(CancellationToken cancellationToken) => RepeatAsync(async () =>
    {
        for (TimeSpan left; (left = tls.Own.RenewalDue - time.GetUtcNow()) > TimeSpan.Zero;) await Task.Delay(left < Look ? left : Look, time, cancellationToken);
        var renewed = await client.RenewAsync(await connect(cancellationToken), tls.Own, tls.Trust, _options.Addresses, cancellationToken);
        // In use first: should the disk be full, the node still goes on for a day.
        tls.Use(renewed);
        if (_options.CredentialFile is { } file) renewed.Save(file);
    }, pauses: false, cancellationToken);

    private Task FollowAsync(CancellationToken cancellationToken) => RepeatAsync(
        async () => await client.FollowAsync(await connect(cancellationToken), tls.Own, tls.Trust, list => tls.Trust.Accept(list), cancellationToken), pauses: true, cancellationToken);

    private async Task RepeatAsync(Func<Task> step, bool pauses, CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                var failed = true;
                try
                {
                    await step();
                    failed = false;
                }
                catch (AisleException error)
                {
                    told(error);
                }
                catch (Exception error) when (error is IOException or SocketException && !cancellationToken.IsCancellationRequested)
                {
                    told(new AisleException("AISLE-8024", $"The authority cannot be reached: {Shown.Of(error.Message)}", "Nothing is lost; it is tried again.", error));
                }
                if (failed || pauses) await Task.Delay(_options.RetryAfter, time, cancellationToken);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Asked to stop.
        }
    }
}
