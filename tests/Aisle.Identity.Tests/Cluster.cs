using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Aisle.Identity.Tests;

/// <summary>An authority over a directory of its own.</summary>
internal sealed class Cluster : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public Cluster(TimeProvider? time = null)
    {
        Time = time ?? SteppedTime.Start();
        Authority = ClusterAuthority.Open(_directory.Path, Time);
    }

    public TimeProvider Time { get; }

    public ClusterAuthority Authority { get; private set; }

    public string Directory => _directory.Path;

    public NodeCredential Node(string name, Role role = Role.Node) => Authority.IssueOwn(NodeId.Parse(name), role, ["127.0.0.1"]);

    /// <summary>A trust of its own, as another machine has it: it learns of denials only when told.</summary>
    public ClusterTrust Trust() => new(Authority.Certificate);

    public NodeTls Tls(string name, RefusalLog? refusals = null, ClusterTrust? trust = null, TimeProvider? time = null, NodeTlsOptions? options = null) =>
        new(Node(name), trust ?? Trust(), time ?? Time, refusals ?? new RefusalLog(), options);

    /// <summary>As after a restart of the first node.</summary>
    public void Reopen()
    {
        Authority.Dispose();
        Authority = ClusterAuthority.Open(_directory.Path, Time);
    }

    public void Dispose()
    {
        Authority.Dispose();
        _directory.Dispose();
    }

    public static byte[] Request(out ECDsa key)
    {
        key = CertificateIssue.NewKey();
        return CertificateIssue.Request(key);
    }

    /// <summary>Certified by the cluster's own key, however wrong: what a bug could make.</summary>
    public X509Certificate2 Forge(Func<ECDsa, CertificateRequest> what)
    {
        using var key = CertificateIssue.NewKey();
        var (authorityKey, _) = KeyFile.Read(_directory.File("authority.pem"), 1 << 16);
        using (authorityKey)
        {
            return what(key).Create(Authority.Certificate.SubjectName, X509SignatureGenerator.CreateForECDsa(authorityKey),
                Time.GetUtcNow(), Time.GetUtcNow() + TimeSpan.FromHours(1), [1, 2, 3]);
        }
    }
}
