using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Aisle.Identity.Tests;

public sealed class ClusterTrustTests
{
    private static string? Verdict(Cluster cluster, X509Certificate2? certificate, Role role = Role.Node, string? expected = null, TimeSpan after = default) =>
        cluster.Trust().Check(certificate, role, expected is null ? null : NodeId.Parse(expected), cluster.Time.GetUtcNow() + after, out _)?.Code;

    private static CertificateRequest Named(ECDsa key, params string[] uris)
    {
        var request = new CertificateRequest("CN=x", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension(ClusterTrust.Purposes(), critical: false));
        var names = new SubjectAlternativeNameBuilder();
        foreach (var uri in uris) names.AddUri(new Uri(uri));
        if (uris.Length > 0) request.CertificateExtensions.Add(names.Build());
        return request;
    }

    [Fact]
    public void A_node_of_the_cluster_is_known_by_its_name()
    {
        using var cluster = new Cluster();
        Assert.Null(cluster.Trust().Check(cluster.Node("node-1").Certificate, Role.Node, null, cluster.Time.GetUtcNow(), out var peer));
        Assert.Equal(new PeerIdentity(cluster.Authority.Cluster, Role.Node, NodeId.Parse("node-1")), peer);
    }

    [Theory]
    [InlineData(0, null)]
    [InlineData(-5, null)]
    [InlineData(-5.1, "AISLE-8033")]
    [InlineData(24 * 60 + 5, null)]
    [InlineData(24 * 60 + 5.1, "AISLE-8032")]
    public void Clocks_may_differ_by_five_minutes_and_no_more(double minutesAfterIssue, string? code)
    {
        using var cluster = new Cluster();
        Assert.Equal(code, Verdict(cluster, cluster.Node("node-1").Certificate, after: TimeSpan.FromMinutes(minutesAfterIssue)));
    }

    [Fact]
    public void No_certificate_is_refused()
    {
        using var cluster = new Cluster();
        Assert.Equal("AISLE-8030", Verdict(cluster, null));
    }

    [Fact]
    public void Another_cluster_is_foreign()
    {
        using var cluster = new Cluster();
        using var other = new Cluster();
        Assert.Equal("AISLE-8031", Verdict(cluster, other.Node("node-1").Certificate));
    }

    [Fact]
    public void An_authority_that_only_has_the_same_name_is_foreign()
    {
        using var cluster = new Cluster();
        using var impostor = CertificateIssue.NewKey();
        using var key = CertificateIssue.NewKey();
        var identity = new PeerIdentity(cluster.Authority.Cluster, Role.Node, NodeId.Parse("node-1"));
        using var certificate = CertificateIssue.Certificate(new PublicKey(key), identity, [], cluster.Authority.Certificate, impostor, cluster.Time.GetUtcNow(), cluster.Time.GetUtcNow() + TimeSpan.FromHours(1));
        Assert.Equal("AISLE-8031", Verdict(cluster, certificate));
    }

    [Fact]
    public void A_node_cannot_certify_another()
    {
        using var cluster = new Cluster();
        using var own = CertificateIssue.NewKey();
        using var key = CertificateIssue.NewKey();
        var identity = new PeerIdentity(cluster.Authority.Cluster, Role.Node, NodeId.Parse("node-9"));
        using var certificate = CertificateIssue.Certificate(new PublicKey(key), identity, [], cluster.Node("node-1").Certificate, own, cluster.Time.GetUtcNow(), cluster.Time.GetUtcNow() + TimeSpan.FromHours(1));
        Assert.Equal("AISLE-8031", Verdict(cluster, certificate));
    }

    [Fact]
    public void The_authoritys_own_root_is_nobody()
    {
        using var cluster = new Cluster();
        Assert.Equal("AISLE-8031", Verdict(cluster, cluster.Authority.Certificate));
    }

    [Fact]
    public void Another_role_is_refused()
    {
        using var cluster = new Cluster();
        Assert.Equal("AISLE-8034", Verdict(cluster, cluster.Node("trainer", Role.Workload).Certificate));
        Assert.Equal("AISLE-8034", Verdict(cluster, cluster.Node("node-1", Role.Authority).Certificate));
        Assert.Equal("AISLE-8034", Verdict(cluster, cluster.Node("node-1").Certificate, Role.Authority));
    }

    [Fact]
    public void A_certificate_names_exactly_one_holder_of_this_cluster()
    {
        using var cluster = new Cluster();
        var id = cluster.Authority.Cluster;
        using var none = cluster.Forge(key => Named(key));
        using var two = cluster.Forge(key => Named(key, $"spiffe://{id}/node/a", $"spiffe://{id}/node/b"));
        using var elsewhere = cluster.Forge(key => Named(key, $"spiffe://{new string('0', 32)}/node/a"));
        using var odd = cluster.Forge(key => Named(key, $"spiffe://{id}/node/a/b"));
        using var good = cluster.Forge(key => Named(key, $"spiffe://{id}/node/a"));
        foreach (var certificate in (X509Certificate2[])[none, two, elsewhere, odd]) Assert.Equal("AISLE-8034", Verdict(cluster, certificate));
        Assert.Null(Verdict(cluster, good));
    }

    [Fact]
    public void A_certificate_for_another_purpose_is_refused()
    {
        using var cluster = new Cluster();
        using var mail = cluster.Forge(key =>
        {
            var request = new CertificateRequest("CN=x", key, HashAlgorithmName.SHA256);
            request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.4")], critical: false));
            return request;
        });
        Assert.Equal("AISLE-8031", Verdict(cluster, mail));
    }

    [Fact]
    public void Another_node_than_the_one_meant_is_refused()
    {
        using var cluster = new Cluster();
        Assert.Equal("AISLE-8036", Verdict(cluster, cluster.Node("node-1").Certificate, expected: "node-2"));
        Assert.Null(Verdict(cluster, cluster.Node("node-1").Certificate, expected: "node-1"));
    }

    [Fact]
    public void A_denied_node_is_refused()
    {
        using var cluster = new Cluster();
        var certificate = cluster.Node("node-1").Certificate;
        cluster.Authority.Deny(NodeId.Parse("node-1"));
        Assert.Null(Verdict(cluster, certificate)); // not told yet
        Assert.Equal("AISLE-8035", cluster.Authority.Trust.Check(certificate, Role.Node, null, cluster.Time.GetUtcNow(), out _)?.Code);
    }
}
