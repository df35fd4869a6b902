using System.Text.Json;

namespace Aisle.Api.Tests;

/// <summary>Which server a command talks to. Environment variables belong to the whole process, so these run one after the other.</summary>
public sealed class ServerLocationTests : IDisposable
{
    private static readonly string[] Variables = ["AISLE_HOME", "AISLE_SERVER", "AISLE_TOKEN", "AISLE_TOKEN_FILE"];
    private readonly Dictionary<string, string?> _before = Variables.ToDictionary(name => name, Environment.GetEnvironmentVariable);
    private readonly string _home = Directory.CreateTempSubdirectory("aisle-home-").FullName;

    public ServerLocationTests()
    {
        foreach (var name in Variables) Environment.SetEnvironmentVariable(name, null);
        Environment.SetEnvironmentVariable("AISLE_HOME", _home);
    }

    [Fact]
    public void Nothing_known_is_said_with_the_command_that_starts_one() =>
        Assert.Contains("aisle up", Assert.Throws<AisleException>(() => ServerLocation.Find(null)).Next);

    [Fact]
    public void The_data_centre_last_started_here_is_found_with_its_token()
    {
        Leave("http://127.0.0.1:7071/", "t1");
        Assert.Equal((new Uri("http://127.0.0.1:7071/"), "t1"), (ServerLocation.Find(null).Url, ServerLocation.Find(null).Token));
    }

    [Fact]
    public void The_environment_comes_before_it_and_what_is_said_before_both()
    {
        Leave("http://127.0.0.1:7071/", "t1");
        Environment.SetEnvironmentVariable("AISLE_SERVER", "http://127.0.0.1:7072");
        Environment.SetEnvironmentVariable("AISLE_TOKEN", "t2");
        Assert.Equal(new Uri("http://127.0.0.1:7072/"), ServerLocation.Find(null).Url);
        Assert.Equal((new Uri("http://127.0.0.1:7073/"), "t2"), (ServerLocation.Find("http://127.0.0.1:7073").Url, ServerLocation.Find("http://127.0.0.1:7073").Token));
    }

    [Fact]
    public void A_token_file_that_is_missing_is_named()
    {
        Environment.SetEnvironmentVariable("AISLE_TOKEN_FILE", Path.Combine(_home, "absent"));
        Assert.Contains("absent", Assert.Throws<AisleException>(() => ServerLocation.Find("http://127.0.0.1:1")).What);
    }

    [Theory]
    [InlineData("ftp://x")]
    [InlineData("nonsense")]
    public void An_address_that_is_none_is_refused(string address) =>
        Assert.Equal("AISLE-7007", Assert.Throws<AisleException>(() => ServerLocation.Find(address)).Code);

    [Fact]
    public void A_damaged_note_is_as_good_as_none()
    {
        File.WriteAllText(ServerLocation.CurrentFile, "{\"url\":");
        Assert.Equal("AISLE-7002", Assert.Throws<AisleException>(() => ServerLocation.Find(null)).Code);
    }

    public void Dispose()
    {
        foreach (var (name, value) in _before) Environment.SetEnvironmentVariable(name, value);
        Directory.Delete(_home, recursive: true);
    }

    private void Leave(string url, string token)
    {
        var file = Path.Combine(_home, "token");
        File.WriteAllText(file, token + "\n");
        File.WriteAllBytes(ServerLocation.CurrentFile, JsonSerializer.SerializeToUtf8Bytes(new DataCentreFile(url, file, _home, 1), ApiJson.Default.DataCentreFile));
    }
}
