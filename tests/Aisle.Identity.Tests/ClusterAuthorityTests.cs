using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Aisle.Artifacts;
using CsCheck;

namespace Aisle.Identity.Tests;

public sealed class ClusterAuthorityTests
{
    private static readonly NodeId Node2 = NodeId.Parse("node-2");

    private static IssuedCertificate Join(Cluster cluster, JoinToken token, string node = "node-2") =>
        cluster.Authority.Join(token.Id, token.Secret, Role.Node, NodeId.Parse(node), Cluster.Request(out _), ["10.0.0.2"], "test");

    [Fact]
    public void The_authority_is_the_same_one_after_a_restart()
    {
        using var cluster = new Cluster();
        var (before, id) = (cluster.Authority.Fingerprint, cluster.Authority.Cluster);
        cluster.Reopen();
        Assert.Equal((before, id), (cluster.Authority.Fingerprint, cluster.Authority.Cluster));
    }

    [Fact]
    public void Only_the_owner_may_read_what_it_keeps()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Skip("File modes are of Unix.");
            return;
        }
        using var cluster = new Cluster();
        cluster.Authority.CreateToken();
        foreach (var name in (string[])["authority.pem", "roster.json"])
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(cluster.Directory, name)));
        }
    }

    [Fact]
    public void A_key_that_others_may_read_is_not_used()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Skip("File modes are of Unix.");
            return;
        }
        using var cluster = new Cluster();
        File.SetUnixFileMode(Path.Combine(cluster.Directory, "authority.pem"), UnixFileMode.UserRead | UnixFileMode.GroupRead);
        Assert.Equal("AISLE-8003", Assert.Throws<AisleException>(cluster.Reopen).Code);
    }

    [Fact]
    public void One_process_at_a_time_has_it()
    {
        using var cluster = new Cluster();
        Assert.Equal("AISLE-8005", Assert.Throws<AisleException>(() => ClusterAuthority.Open(cluster.Directory, cluster.Time)).Code);
    }

    [Fact]
    public void A_lost_key_is_not_replaced_in_silence()
    {
        using var cluster = new Cluster();
        cluster.Authority.CreateToken();
        File.Delete(Path.Combine(cluster.Directory, "authority.pem"));
        Assert.Equal("AISLE-8004", Assert.Throws<AisleException>(cluster.Reopen).Code);
    }

    [Fact]
    public void No_secret_of_a_token_is_on_disk()
    {
        using var cluster = new Cluster();
        var token = cluster.Authority.CreateToken();
        foreach (var file in Directory.EnumerateFiles(cluster.Directory).Where(file => !file.EndsWith(".lock", StringComparison.Ordinal)))
        {
            Assert.DoesNotContain(token.Secret, File.ReadAllText(file), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_token_joins_once_and_stays_used_across_a_restart()
    {
        using var cluster = new Cluster();
        var token = cluster.Authority.CreateToken();
        Join(cluster, token);
        cluster.Reopen();
        Assert.Equal("AISLE-8013", Assert.Throws<AisleException>(() => Join(cluster, token, "node-3")).Code);
        Assert.Equal(Node2, cluster.Authority.Roster.Tokens[token.Id].Use?.Node);
    }

    [Fact]
    public void A_use_that_cannot_be_written_down_admits_nobody()
    {
        using var cluster = new Cluster();
        var token = cluster.Authority.CreateToken();
        var obstacle = Directory.CreateDirectory(Path.Combine(cluster.Directory, "roster.json.new")); // in the way of the file that is written first
        Assert.Equal("AISLE-8003", Assert.Throws<AisleException>(() => Join(cluster, token)).Code);
        Assert.Empty(cluster.Authority.Roster.Nodes);
        obstacle.Delete();
        Join(cluster, token);
    }

    [Fact]
    public async Task Of_many_that_use_a_token_at_once_one_gets_in()
    {
        using var cluster = new Cluster();
        var token = cluster.Authority.CreateToken();
        var outcomes = await Task.WhenAll(Enumerable.Range(2, 8).Select(i => Task.Run(() =>
        {
            try
            {
                Join(cluster, token, $"node-{i}");
                return "in";
            }
            catch (AisleException refused)
            {
                return refused.Code;
            }
        })));
        Assert.Single(outcomes, "in");
        Assert.Equal(7, outcomes.Count(outcome => outcome == "AISLE-8013"));
    }

    [Fact]
    public void A_certificate_lives_for_a_day_and_names_its_holder()
    {
        using var cluster = new Cluster();
        using var certificate = Join(cluster, cluster.Authority.CreateToken()).Certificate;
        Assert.Equal(cluster.Time.GetUtcNow(), CertificateLife.Begin(certificate));
        Assert.Equal(TimeSpan.FromHours(24), CertificateLife.End(certificate) - CertificateLife.Begin(certificate));
        Assert.Equal(cluster.Time.GetUtcNow() + TimeSpan.FromHours(16), CertificateLife.RenewalDue(certificate));
        Assert.True(PeerIdentity.TryRead(certificate, out var identity));
        Assert.Equal($"spiffe://{cluster.Authority.Cluster}/node/node-2", identity.ToString());
        Assert.Contains("10.0.0.2", certificate.Extensions.OfType<X509SubjectAlternativeNameExtension>().Single().EnumerateIPAddresses().Select(ip => ip.ToString()));
    }

    [Fact]
    public void A_bad_request_uses_no_token_up()
    {
        using var cluster = new Cluster();
        var token = cluster.Authority.CreateToken();
        Assert.Equal("AISLE-8017", Assert.Throws<AisleException>(() => cluster.Authority.Join(token.Id, token.Secret, Role.Node, Node2, [1, 2, 3], [], "test")).Code);
        Assert.Equal("AISLE-8017", Assert.Throws<AisleException>(() => cluster.Authority.Join(token.Id, token.Secret, Role.Node, Node2, Cluster.Request(out _), ["not a host"], "test")).Code);
        Join(cluster, token);
    }

    [Fact]
    public void Another_kind_of_key_is_not_certified()
    {
        using var cluster = new Cluster();
        using var rsa = RSA.Create(2048);
        using var p384 = ECDsa.Create(ECCurve.NamedCurves.nistP384);
        byte[][] requests = [
            new CertificateRequest("CN=a", rsa, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1).CreateSigningRequest(),
            new CertificateRequest("CN=a", p384, HashAlgorithmName.SHA256).CreateSigningRequest()];
        foreach (var request in requests) Assert.Equal("AISLE-8017", Assert.Throws<AisleException>(() => CertificateIssue.Read(request)).Code);
    }

    [Fact]
    public void What_a_request_asks_to_be_is_not_what_is_certified()
    {
        using var cluster = new Cluster();
        using var key = CertificateIssue.NewKey();
        var greedy = new CertificateRequest("CN=root", key, HashAlgorithmName.SHA256);
        greedy.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        var token = cluster.Authority.CreateToken();
        using var certificate = cluster.Authority.Join(token.Id, token.Secret, Role.Node, Node2, greedy.CreateSigningRequest(), [], "test").Certificate;
        Assert.False(certificate.Extensions.OfType<X509BasicConstraintsExtension>().Single().CertificateAuthority);
        Assert.DoesNotContain("root", certificate.Subject, StringComparison.Ordinal);
    }

    [Fact]
    public void A_damaged_request_is_refused_and_nothing_worse()
    {
        var request = Cluster.Request(out _);
        Gen.Int.Sample(seed =>
        {
            var damaged = Corruption.Of(request, new Random(seed));
            try
            {
                CertificateIssue.Read(damaged);
            }
            catch (AisleException refused)
            {
                Assert.Equal("AISLE-8017", refused.Code);
            }
        }, iter: 500);
    }

    [Fact]
    public void A_damaged_roster_or_key_is_said_to_be_damaged_and_nothing_worse()
    {
        using var cluster = new Cluster();
        Join(cluster, cluster.Authority.CreateToken());
        cluster.Authority.Deny(Node2);
        var roster = RosterFile.Encode(cluster.Authority.Roster);
        Assert.Equal(roster, RosterFile.Encode(RosterFile.Decode(roster, "roster")));
        Gen.Int.Sample(seed =>
        {
            try
            {
                RosterFile.Decode(Corruption.Of(roster, new Random(seed)), "roster");
            }
            catch (AisleException refused)
            {
                Assert.Equal("AISLE-8004", refused.Code);
            }
        }, iter: 1_000);
        using var directory = new TemporaryDirectory();
        var key = File.ReadAllBytes(Path.Combine(cluster.Directory, "authority.pem"));
        Gen.Int.Sample(seed =>
        {
            var file = directory.File("key.pem");
            PrivateFile.Write(file, Corruption.Of(key, new Random(seed)));
            try
            {
                KeyFile.Read(file, 1 << 16).Key.Dispose();
            }
            catch (AisleException refused)
            {
                Assert.Equal("AISLE-8004", refused.Code);
            }
        }, iter: 100, threads: 1);
    }

    [Fact]
    public void A_credential_is_read_back_from_its_file()
    {
        using var cluster = new Cluster();
        using var directory = new TemporaryDirectory();
        var credential = cluster.Node("node-1");
        credential.Save(directory.File("node.pem"));
        var read = NodeCredential.Load(directory.File("node.pem"));
        Assert.Equal(credential.Identity, read.Identity);
        Assert.Equal(credential.ExpiresAt, read.ExpiresAt);
    }

    [Fact]
    public void A_denial_survives_a_restart_and_is_believed_by_whoever_knows_the_authority()
    {
        using var cluster = new Cluster();
        cluster.Authority.Deny(Node2);
        cluster.Reopen();
        var trust = cluster.Trust();
        Assert.True(trust.Accept(cluster.Authority.SignedDenyList()));
        Assert.True(trust.Denied.Contains(Node2));
        Assert.False(trust.Accept(cluster.Authority.SignedDenyList()));
    }

    [Fact]
    public void An_older_deny_list_takes_nothing_back()
    {
        using var cluster = new Cluster();
        var trust = cluster.Trust();
        cluster.Authority.Deny(NodeId.Parse("node-3"));
        var older = cluster.Authority.SignedDenyList();
        cluster.Authority.Deny(Node2);
        trust.Accept(cluster.Authority.SignedDenyList());
        Assert.False(trust.Accept(older));
        Assert.True(trust.Denied.Contains(Node2));
    }

    [Fact]
    public void A_deny_list_of_another_authority_or_a_damaged_one_is_not_believed()
    {
        using var cluster = new Cluster();
        using var other = new Cluster();
        cluster.Authority.Deny(Node2);
        other.Authority.Deny(Node2);
        Assert.Equal("AISLE-8041", Assert.Throws<AisleException>(() => cluster.Trust().Accept(other.Authority.SignedDenyList())).Code);
        var signed = cluster.Authority.SignedDenyList();
        Gen.Int.Sample(seed =>
        {
            var damaged = Corruption.Of(signed, new Random(seed));
            if (damaged.AsSpan().SequenceEqual(signed)) return;
            Assert.Equal("AISLE-8041", Assert.Throws<AisleException>(() => cluster.Trust().Accept(damaged)).Code);
        }, iter: 500);
    }

    [Theory]
    [InlineData("")]
    [InlineData("-a")]
    [InlineData("a-")]
    [InlineData("A")]
    [InlineData("a/b")]
    [InlineData("a\n")]
    [InlineData("..")]
    public void What_is_no_node_name_is_refused(string name) => Assert.Equal("AISLE-8002", Assert.Throws<AisleException>(() => NodeId.Parse(name)).Code);

    [Fact]
    public void A_message_shows_no_control_characters_from_outside() =>
        Assert.DoesNotContain('\u001b', Assert.Throws<AisleException>(() => NodeId.Parse("\u001b[2J")).Message);
}
