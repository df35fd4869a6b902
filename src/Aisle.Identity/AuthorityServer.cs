using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;

namespace Aisle.Identity;

public sealed record AuthorityServerOptions
{
    /// <summary>For everything that one caller does, following the deny list aside.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>Callers that are served at a time; one more is turned away at once.</summary>
    public int MaxCallers { get; init; } = 64;

    /// <summary>Names and addresses in the certificate that the authority shows.</summary>
    public IReadOnlyList<string> Addresses { get; init; } = [];
}

/// <summary>The authority's side of joining and renewing. Whatever a caller does, it cannot end this, slow others down for long, or make it hold more than a few kilobytes.</summary>
public sealed class AuthorityServer(ClusterAuthority authority, NodeId self, TimeProvider time, RefusalLog refusals, AuthorityServerOptions? options = null)
{
    private readonly AuthorityServerOptions _options = options ?? new();
    private readonly Lock _gate = new(); // guards _own
    private NodeCredential? _own;
    private int _callers;

    /// <summary>Serves a listening socket until cancelled; returns when the last caller has been let go.</summary>
    public async Task RunAsync(Socket listener, CancellationToken cancellationToken)
    {
        var serving = new HashSet<Task>();
        try
        {
            while (true)
            {
                var socket = await listener.AcceptAsync(cancellationToken);
                serving.RemoveWhere(task => task.IsCompleted);
                serving.Add(ServeAsync(socket, cancellationToken));
            }
        }
        catch (Exception) when (cancellationToken.IsCancellationRequested)
        {
            // Asked to stop.
        }
        finally
        {
            await Task.WhenAll(serving);
        }
    }

    private async Task ServeAsync(Socket socket, CancellationToken cancellationToken)
    {
        var from = socket.RemoteEndPoint?.ToString() ?? "";
        await using var stream = new NetworkStream(socket, ownsSocket: true);
        await ServeAsync(stream, from, cancellationToken);
    }

    /// <summary>Serves one caller and disposes its stream. Never throws for anything a caller does.</summary>
    /// <param name="from">Where it is, for the log.</param>
    public async Task ServeAsync(Stream stream, string from, CancellationToken cancellationToken)
    {
        try
        {
            if (Interlocked.Increment(ref _callers) > _options.MaxCallers)
            {
                refusals.Record(new("AISLE-8039", $"{_options.MaxCallers} callers are served already.", "If no attack is going on, try again in a moment."), from);
                return;
            }
            using var slow = new CancellationTokenSource(_options.Timeout, time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(slow.Token, cancellationToken);
            using (either.Token.UnsafeRegister(static stream => ((Stream)stream!).Dispose(), stream))
            {
                try
                {
                    await AnswerAsync(stream, from, either.Token);
                }
                catch (Exception error) when (slow.IsCancellationRequested && !cancellationToken.IsCancellationRequested && error is not AisleException { Code: "AISLE-8038" })
                {
                    refusals.Record(new("AISLE-8038", $"A caller took longer than {_options.Timeout.TotalSeconds:0.###} s.", "See whether it is a machine of yours."), from);
                }
            }
        }
        catch (AisleException refused)
        {
            refusals.Record(Refusal.From(refused), from);
        }
        catch (Exception gone) when (gone is IOException or ObjectDisposedException or OperationCanceledException)
        {
            if (!cancellationToken.IsCancellationRequested) refusals.Record(Refusal.From(AuthorityWire.Malformed("the connection was lost")), from);
        }
        finally
        {
            Interlocked.Decrement(ref _callers);
            await stream.DisposeAsync();
        }
    }

    private async Task AnswerAsync(Stream stream, string from, CancellationToken cancellationToken)
    {
        var purpose = new byte[AuthorityWire.PurposeBytes];
        await AuthorityWire.FillAsync(stream, purpose, cancellationToken);
        if (purpose.AsSpan().SequenceEqual(AuthorityWire.Join)) await AdmitAsync(stream, from, cancellationToken);
        else if (purpose.AsSpan().SequenceEqual(AuthorityWire.Renew)) await RenewAsync(stream, from, cancellationToken);
        else throw AuthorityWire.Malformed("it asks for nothing that is offered here");
    }

    private async Task AdmitAsync(Stream stream, string from, CancellationToken cancellationToken)
    {
        var certificate = authority.Certificate.RawDataMemory;
        await stream.WriteAsync((byte[])[(byte)(certificate.Length >> 8), (byte)certificate.Length, .. certificate.Span], cancellationToken);
        await using var secure = await Handshake.RunAsync(stream, Terms(peerRole: null), cancellationToken);
        await AuthorityWire.WriteAsync(secure, new AuthorityHello(1, time.GetUtcNow()), IdentityJson.Default.AuthorityHello, cancellationToken);
        var question = await AuthorityWire.ReadAsync(secure, AuthorityWire.MaxQuestionBytes, IdentityJson.Default.JoinQuestion, cancellationToken);
        await AnswerAsync(secure, from, () =>
        {
            if (!RoleText.TryParse(question.Role, out var role)) throw AuthorityWire.Malformed("it asks for a role that is none");
            return authority.Join(question.TokenId, question.Secret, role, NodeId.Parse(question.Node), question.Request, question.Addresses, from);
        }, cancellationToken);
    }

    private async Task RenewAsync(Stream stream, string from, CancellationToken cancellationToken)
    {
        await using var secure = await Handshake.RunAsync(stream, Terms(Role.Node), cancellationToken);
        await AuthorityWire.WriteAsync(secure, new AuthorityHello(1, time.GetUtcNow()), IdentityJson.Default.AuthorityHello, cancellationToken);
        var question = await AuthorityWire.ReadAsync(secure, AuthorityWire.MaxQuestionBytes, IdentityJson.Default.RenewalQuestion, cancellationToken);
        await AnswerAsync(secure, from, () => authority.Renew(secure.Peer, question.Request, question.Addresses), cancellationToken);
    }

    private async Task AnswerAsync(NodeStream secure, string from, Func<IssuedCertificate> decide, CancellationToken cancellationToken)
    {
        AuthorityAnswer answer;
        try
        {
            var issued = decide();
            using (issued.Certificate) answer = new AuthorityAnswer(issued.Certificate.RawData, issued.DenyList);
        }
        catch (AisleException refused)
        {
            refusals.Record(Refusal.From(refused), from);
            answer = new AuthorityAnswer(Refusal: Refusal.From(refused));
        }
        await AuthorityWire.WriteAsync(secure, answer, IdentityJson.Default.AuthorityAnswer, cancellationToken);
    }

    private HandshakeTerms Terms(Role? peerRole) => new(authority.Trust, IsServer: true, Own(), peerRole, Expected: null, _options.Timeout, time);

    /// <summary>The authority's own certificate lives as long as a node's; it makes itself another in time.</summary>
    private NodeCredential Own()
    {
        lock (_gate)
        {
            if (_own is null || time.GetUtcNow() >= _own.RenewalDue) _own = authority.IssueOwn(self, Role.Authority, _options.Addresses);
            return _own;
        }
    }
}
