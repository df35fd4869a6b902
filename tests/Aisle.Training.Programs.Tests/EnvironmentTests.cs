namespace Aisle.Training.Programs.Tests;

public sealed class EnvironmentTests
{
    private static readonly Dictionary<string, string> s_complete = new()
    {
        [RunEnvironment.CoordinatorVariable] = "127.0.0.1:4711",
        [RunEnvironment.SecretFileVariable] = "/nowhere/secret",
        [RunEnvironment.NameVariable] = "worker-1",
        [RunEnvironment.StoreVariable] = "/nowhere/store",
        [RunEnvironment.ScratchVariable] = "/nowhere/scratch",
    };

    [Fact]
    public void What_is_written_is_read_back()
    {
        var read = RunEnvironment.Read(name => s_complete.GetValueOrDefault(name))!;
        Assert.Equal(s_complete, read.ToVariables().ToDictionary());
    }

    [Fact]
    public void Without_a_coordinator_a_program_runs_alone() => Assert.Null(RunEnvironment.Read(_ => null));

    [Fact]
    public void Half_an_environment_is_refused_by_naming_what_is_missing()
    {
        var e = Assert.Throws<AisleException>(() => RunEnvironment.Read(name => name == RunEnvironment.StoreVariable ? null : s_complete[name]));
        Assert.Equal("AISLE-5174", e.Code);
        Assert.Contains(RunEnvironment.StoreVariable, e.Message);
    }

    [Theory]
    [InlineData("localhost")]
    [InlineData("127.0.0.1")]
    [InlineData("127.0.0.1:70000")]
    public void A_coordinator_that_is_no_address_and_port_is_refused(string coordinator) => Assert.Throws<AisleException>(
        () => RunEnvironment.Read(name => name == RunEnvironment.CoordinatorVariable ? coordinator : s_complete[name]));

    [Fact]
    public void A_secret_is_readable_by_its_owner_alone_and_refused_when_others_may_read_it()
    {
        using var folder = new TemporaryFolder();
        var path = folder["secret"];
        byte[] secret = [.. Enumerable.Range(0, 32).Select(i => (byte)i)];
        RunEnvironment.WriteSecret(path, secret);
        var environment = RunEnvironment.Read(name => name == RunEnvironment.SecretFileVariable ? path : s_complete[name])!;
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
        Assert.Equal(secret, environment.ReadSecret());
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.GroupRead);
        Assert.Contains("by others", Assert.Throws<AisleException>(environment.ReadSecret).Message);
    }
}
