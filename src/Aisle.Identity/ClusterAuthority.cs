using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Aisle.Artifacts;

namespace Aisle.Identity;

/// <summary>A certificate that was issued, and the deny list of that moment.</summary>
/// <param name="DenyList">As <see cref="ClusterTrust.Accept"/> takes it; empty while nobody was ever denied.</param>
public sealed record IssuedCertificate(X509Certificate2 Certificate, byte[] DenyList);

/// <summary>The one place that says who belongs to the cluster: it makes join tokens, admits machines, renews certificates and denies nodes. What it acknowledges
/// is on disk. Thread-safe.</summary>
public sealed class ClusterAuthority : IDisposable
{
    private const string KeyFileName = "authority.pem";
    private const string RosterFileName = "roster.json";
    private const int MaxKeyFileBytes = 64 << 10;

    private readonly string _directory;
    private readonly TimeProvider _time;
    private readonly FileStream _lock;
    private readonly ECDsa _key;
    private readonly Lock _gate = new(); // guards _roster, _changed and the roster's file
    private JoinRoster _roster;
    private TaskCompletionSource _changed = NewSignal();

    private ClusterAuthority(string directory, TimeProvider time, FileStream @lock, ECDsa key, X509Certificate2 certificate, JoinRoster roster)
    {
        (_directory, _time, _lock, _key, _roster, Certificate) = (directory, time, @lock, key, roster, certificate);
        Fingerprint = JoinToken.FingerprintOf(certificate);
        Trust = new ClusterTrust(certificate);
        Publish();
    }

    public ClusterId Cluster => Trust.Cluster;

    /// <summary>The authority's certificate, without its key.</summary>
    public X509Certificate2 Certificate { get; }

    /// <summary>SHA-256 of <see cref="Certificate"/>: what a token pins.</summary>
    public Digest Fingerprint { get; }

    /// <summary>What this process believes; it follows <see cref="Deny"/> at once.</summary>
    public ClusterTrust Trust { get; }

    public JoinRoster Roster
    {
        get { lock (_gate) return _roster; }
    }

    /// <summary>Opens the authority kept in a directory; makes it there, key and all, when there is none.</summary>
    /// <exception cref="AisleException">AISLE-8003: files cannot be used, or others may read the key; AISLE-8004: they are damaged; AISLE-8005: another process has it open.</exception>
    public static ClusterAuthority Open(string directory, TimeProvider time)
    {
        var root = Path.GetFullPath(directory);
        FileStream? held = null;
        try
        {
            held = Lock(root);
            var keyFile = Path.Combine(root, KeyFileName);
            if (!File.Exists(keyFile)) Make(root, keyFile, time.GetUtcNow());
            var (key, certificates) = KeyFile.Read(keyFile, MaxKeyFileBytes);
            if (certificates.Count != 1 || !certificates[0].PublicKey.ExportSubjectPublicKeyInfo().AsSpan().SequenceEqual(key.ExportSubjectPublicKeyInfo()))
            {
                throw new AisleException("AISLE-8004", $"'{keyFile}' does not hold one key and its certificate.", "Put back a copy of it that is whole.");
            }
            return new ClusterAuthority(root, time, held, key, certificates[0], RosterFile.Read(Path.Combine(root, RosterFileName)));
        }
        catch
        {
            held?.Dispose();
            throw;
        }
    }

    /// <summary>Makes a token that joins one machine, once.</summary>
    /// <param name="life">One hour when null; 24 hours at most.</param>
    /// <exception cref="AisleException">AISLE-8019: a life out of bounds; AISLE-8020: too many tokens; AISLE-8015: a role that no token gives.</exception>
    public JoinToken CreateToken(TimeSpan? life = null, Role role = Role.Node)
    {
        var token = JoinToken.Create(Fingerprint);
        Change(roster => roster.Offer(token.Id, token.SecretHash, role, life ?? TimeSpan.FromHours(1), _time.GetUtcNow()));
        return token;
    }

    /// <summary>Admits a machine: uses its token up, and then certifies its key.</summary>
    /// <param name="request">PKCS #10, DER.</param>
    /// <param name="from">Where it came from, for the record.</param>
    /// <exception cref="AisleException">AISLE-8010 to 8018: refused; the token is as it was.</exception>
    public IssuedCertificate Join(string tokenId, string secret, Role role, NodeId node, byte[] request, IReadOnlyList<string> addresses, string from)
    {
        var key = CertificateIssue.Read(request);
        var (begin, end) = Life();
        // Signed before the token is used up, so that a request that cannot be certified uses none; handed out only after the use is on disk.
        var certificate = CertificateIssue.Certificate(key, new PeerIdentity(Cluster, role, node), addresses, Certificate, _key, begin, end);
        var attempt = new JoinAttempt(tokenId, secret, role, node, Digest.Of(request), CertificateIssue.HashOf(key), from);
        Change(roster => roster.Admit(attempt, begin, end));
        return Issued(certificate);
    }

    /// <summary>Certifies a member for another day, with the key it sends, which may be new.</summary>
    /// <param name="member">Who asked, as its valid certificate proved.</param>
    /// <exception cref="AisleException">AISLE-8017: a bad request; AISLE-8018: the node is denied.</exception>
    public IssuedCertificate Renew(PeerIdentity member, byte[] request, IReadOnlyList<string> addresses)
    {
        var key = CertificateIssue.Read(request);
        var (begin, end) = Life();
        var certificate = CertificateIssue.Certificate(key, member, addresses, Certificate, _key, begin, end);
        Change(roster => roster.Renew(member.Node, member.Role, CertificateIssue.HashOf(key), begin, end));
        return Issued(certificate);
    }

    /// <summary>A credential for a process of the authority's own machine, made without a token: the first node's, or the authority's own.</summary>
    /// <exception cref="AisleException">AISLE-8018: the node is denied.</exception>
    public NodeCredential IssueOwn(NodeId node, Role role, IReadOnlyList<string> addresses)
    {
        var key = CertificateIssue.NewKey();
        var (begin, end) = Life();
        var certificate = CertificateIssue.Certificate(new PublicKey(key), new PeerIdentity(Cluster, role, node), addresses, Certificate, _key, begin, end);
        // The authority's own certificate is no entry: it is made anew each day, and its name is nobody else's, having another role.
        if (role != Role.Authority) Change(roster => roster.Renew(node, role, CertificateIssue.HashOf(new PublicKey(key)), begin, end));
        return new NodeCredential(key, certificate, Certificate);
    }

    /// <summary>From now on the node's certificates are worth nothing: it is not renewed, cannot join, and whoever has the new list cuts it off.</summary>
    /// <exception cref="AisleException">AISLE-8020: too many are denied.</exception>
    public void Deny(NodeId node) => Change(roster => roster.Deny(node));

    /// <summary>Takes a denial back. Its old certificates count again until they expire.</summary>
    public void Allow(NodeId node) => Change(roster => (roster.Allow(node), null));

    /// <summary>The newest deny list, signed; empty while nobody was ever denied.</summary>
    public byte[] SignedDenyList()
    {
        var list = Trust.Denied;
        return list.Version == 0 ? [] : list.Sign(_key);
    }

    /// <summary>Returns when the deny list is newer than a version, or after a while.</summary>
    internal async Task DenyListAfterAsync(long version, TimeSpan atMost, CancellationToken cancellationToken)
    {
        Task changed;
        lock (_gate)
        {
            if (_roster.DenyVersion > version) return;
            changed = _changed.Task;
        }
        try
        {
            await changed.WaitAsync(atMost, _time, cancellationToken);
        }
        catch (TimeoutException)
        {
            // Nothing new.
        }
    }

    public void Dispose()
    {
        _key.Dispose(); // the certificate stays: credentials and trusts made here still refer to it
        _lock.Dispose();
    }

    /// <summary>Runs a rule; what it changed is on disk before anybody learns of it.</summary>
    private void Change(Func<JoinRoster, (JoinRoster Next, Refusal? Refusal)> rule)
    {
        lock (_gate)
        {
            var (next, refusal) = rule(_roster);
            if (refusal is not null) throw refusal.ToException();
            if (ReferenceEquals(next, _roster)) return;
            PrivateFile.Write(Path.Combine(_directory, RosterFileName), RosterFile.Encode(next));
            var denied = next.DenyVersion != _roster.DenyVersion;
            _roster = next;
            if (!denied) return;
            Publish();
            _changed.SetResult();
            _changed = NewSignal();
        }
    }

    private void Publish()
    {
        if (_roster.DenyVersion > 0) Trust.Accept(_roster.DenyListOf(Cluster).Sign(_key));
    }

    private IssuedCertificate Issued(X509Certificate2 certificate) => new(certificate, SignedDenyList());

    private (DateTimeOffset Begin, DateTimeOffset End) Life()
    {
        // A certificate cannot begin before its authority does, should the clock have been set back since.
        var now = _time.GetUtcNow();
        var begin = now < CertificateLife.Begin(Certificate) ? CertificateLife.Begin(Certificate) : now;
        return (begin, begin + CertificateLife.OfNode);
    }

    private static void Make(string root, string keyFile, DateTimeOffset now)
    {
        if (File.Exists(Path.Combine(root, RosterFileName)))
        {
            throw new AisleException("AISLE-8004", $"'{root}' has the roster of a cluster but not its key '{KeyFileName}'.", "Put the key back from a copy. Without it, begin a new cluster in an empty directory.");
        }
        using var key = CertificateIssue.NewKey();
        using var certificate = CertificateIssue.Authority(key, now);
        PrivateFile.Write(keyFile, Encoding.ASCII.GetBytes($"{key.ExportPkcs8PrivateKeyPem()}\n{certificate.ExportCertificatePem()}\n"));
    }

    private static FileStream Lock(string root)
    {
        try
        {
            Directory.CreateDirectory(root);
            return new FileStream(Path.Combine(root, "authority.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new AisleException("AISLE-8005", $"The authority in '{root}' cannot be opened: {error.Message}", "Stop the other process that uses it, or give the directory to the user that runs Aisle.", error);
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
