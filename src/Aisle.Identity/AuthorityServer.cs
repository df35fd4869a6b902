using System.Net.Sockets;

namespace Aisle.Identity;

public sealed record AuthorityServerOptions
{
    /// <summary>For everything that one caller does, following the deny list aside.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>Callers that are served at a time; one more is turned away at once.</summary>
    public int MaxCallers { get; init; } = 64;

    /// <summary>How often a follower of the deny list hears that nothing is new. Followers give up a connection after three of these.</summary>
    public TimeSpan Heartbeat { get; init; } = AuthorityWire.Heartbeat;

    /// <summary>Names and addresses in the certificate that the authority shows.</summary>
    public IReadOnlyList<string> Addresses { get; init; } = [];
}

/// <summary>The authority's side of joining and renewing. Whatever a caller does, it cannot end this, slow others down for long, or make it hold more than a few kilobytes.</summary>
public sealed class AuthorityServer(ClusterAuthority authority, NodeId self, TimeProvider time, RefusalLog refusals, AuthorityServerOptions? options = null)
{
    private readonly AuthorityServerOptions _options = options ?? new();
    private readonly Lock _gate = new(); // guards what follows
    private readonly Dictionary<NodeId, NodeStream> _followers = [];
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
                Socket socket;
                try
                {
                    socket = await listener.AcceptAsync(cancellationToken);
                }
                catch (SocketException)
                {
                    // A caller that was gone again, or no descriptor free for it: the next one may have more luck.
                    await Task.Delay(TimeSpan.FromMilliseconds(100), time, cancellationToken);
                    continue;
                }
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
        await using var stream = new NetworkStream(socket, ownsSocket: true);
        await ServeAsync(stream, Where(socket), cancellationToken);
    }

    private static string Where(Socket socket)
    {
        try
        {
            return socket.RemoteEndPoint?.ToString() ?? "";
        }
        catch (SocketException)
        {
            return ""; // gone already
        }
    }

    /// <summary>Serves one caller and disposes its stream. Never throws for anything a caller does.</summary>
    /// <param name="from">Where it is, for the log.</param>
    public async Task ServeAsync(Stream stream, string from, CancellationToken cancellationToken)
    {
        using var deadline = new CancellationTokenSource(_options.Timeout, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellationToken);
        var visit = new Visit(from, deadline, either.Token);
        try
        {
            if (!Enter(visit))
            {
                refusals.Record(new("AISLE-8039", $"{_options.MaxCallers} callers are served already.", "If no attack is going on, try again in a moment."), from);
                return;
            }
            using (either.Token.UnsafeRegister(static stream => ((Stream)stream!).Dispose(), stream)) await AnswerAsync(stream, visit);
        }
        catch (Exception) when (deadline.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            refusals.Record(new("AISLE-8038", $"A caller took longer than {_options.Timeout.TotalSeconds:0.###} s.", "See whether it is a machine of yours."), from);
        }
        catch (AisleException refused)
        {
            refusals.Record(Refusal.From(refused), from);
        }
        catch (Exception gone) when (gone is IOException or ObjectDisposedException or OperationCanceledException)
        {
            // A follower goes whenever it likes; anybody else was in the middle of something.
            if (!visit.Follows && !cancellationToken.IsCancellationRequested) refusals.Record(Refusal.From(AuthorityWire.Malformed("the connection was lost")), from);
        }
        finally
        {
            Leave(visit);
            await stream.DisposeAsync();
        }
    }

    private async Task AnswerAsync(Stream stream, Visit visit)
    {
        var purpose = new byte[AuthorityWire.PurposeBytes];
        await AuthorityWire.FillAsync(stream, purpose, visit.Token);
        if (purpose.AsSpan().SequenceEqual(AuthorityWire.Join)) await AdmitAsync(stream, visit);
        else if (purpose.AsSpan().SequenceEqual(AuthorityWire.Renew)) await RenewAsync(stream, visit);
        else if (purpose.AsSpan().SequenceEqual(AuthorityWire.Follow)) await InformAsync(stream, visit);
        else throw AuthorityWire.Malformed("it asks for nothing that is offered here");
    }

    private async Task AdmitAsync(Stream stream, Visit visit)
    {
        var certificate = authority.Certificate.RawDataMemory;
        await stream.WriteAsync((byte[])[(byte)(certificate.Length >> 8), (byte)certificate.Length, .. certificate.Span], visit.Token);
        await using var secure = await Handshake.RunAsync(stream, Terms(peerRole: null), visit.Token);
        await AuthorityWire.WriteAsync(secure, new AuthorityHello(1, time.GetUtcNow()), IdentityJson.Default.AuthorityHello, visit.Token);
        var question = await AuthorityWire.ReadAsync(secure, AuthorityWire.MaxQuestionBytes, IdentityJson.Default.JoinQuestion, visit.Token);
        await DecideAsync(secure, visit, () =>
        {
            if (!RoleText.TryParse(question.Role, out var role)) throw AuthorityWire.Malformed("it asks for a role that is none");
            return authority.Join(question.TokenId, question.Secret, role, NodeId.Parse(question.Node), question.Request, question.Addresses, visit.From);
        });
    }

    private async Task RenewAsync(Stream stream, Visit visit)
    {
        await using var secure = await Handshake.RunAsync(stream, Terms(Role.Node), visit.Token);
        await AuthorityWire.WriteAsync(secure, new AuthorityHello(1, time.GetUtcNow()), IdentityJson.Default.AuthorityHello, visit.Token);
        var question = await AuthorityWire.ReadAsync(secure, AuthorityWire.MaxQuestionBytes, IdentityJson.Default.RenewalQuestion, visit.Token);
        await DecideAsync(secure, visit, () => authority.Renew(secure.Peer, question.Request, question.Addresses));
    }

    private async Task DecideAsync(NodeStream secure, Visit visit, Func<IssuedCertificate> decide)
    {
        AuthorityAnswer answer;
        try
        {
            var issued = decide();
            using (issued.Certificate) answer = new AuthorityAnswer(issued.Certificate.RawData, issued.DenyList);
        }
        catch (AisleException refused)
        {
            refusals.Record(Refusal.From(refused), visit.From);
            answer = new AuthorityAnswer(Refusal: Refusal.From(refused));
        }
        await AuthorityWire.WriteAsync(secure, answer, IdentityJson.Default.AuthorityAnswer, visit.Token);
    }

    /// <summary>Tells a member each new deny list for as long as it stays, or that there is none. One connection a member: a new one ends the one before.</summary>
    private async Task InformAsync(Stream stream, Visit visit)
    {
        await using var secure = await Handshake.RunAsync(stream, Terms(Role.Node), visit.Token);
        var member = secure.Peer.Node;
        Leave(visit); // it stays long, and there are no more of these than members
        visit.Follows = true;
        NodeStream? before;
        lock (_gate)
        {
            _followers.Remove(member, out before);
            _followers[member] = secure;
        }
        before?.Cut();
        try
        {
            for (var told = -1L; ;)
            {
                var list = authority.Trust.Denied;
                visit.Deadline.CancelAfter(_options.Timeout); // for one message that it does not take
                await AuthorityWire.WriteAsync(secure, list.Version > told ? authority.SignedDenyList() : [], visit.Token);
                visit.Deadline.CancelAfter(Timeout.InfiniteTimeSpan);
                if (list.Contains(member)) return;
                told = list.Version;
                await authority.DenyListAfterAsync(told, _options.Heartbeat, visit.Token);
            }
        }
        finally
        {
            lock (_gate)
            {
                if (_followers.GetValueOrDefault(member) == secure) _followers.Remove(member);
            }
        }
    }

    private bool Enter(Visit visit)
    {
        lock (_gate)
        {
            if (_callers >= _options.MaxCallers) return false;
            _callers++;
            return visit.Counted = true;
        }
    }

    private void Leave(Visit visit)
    {
        lock (_gate)
        {
            if (visit.Counted) _callers--;
            visit.Counted = false;
        }
    }

    /// <summary>One caller that is being served.</summary>
    private sealed class Visit(string from, CancellationTokenSource deadline, CancellationToken token)
    {
        public string From { get; } = from;

        public CancellationTokenSource Deadline { get; } = deadline;

        /// <summary>Cancelled at the deadline, or when the server stops.</summary>
        public CancellationToken Token { get; } = token;

        public bool Counted { get; set; }

        public bool Follows { get; set; }
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
