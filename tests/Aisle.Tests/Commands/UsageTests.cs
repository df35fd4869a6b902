namespace Aisle.Tests.Commands;

public sealed class UsageTests
{
    [Theory]
    [InlineData("put", "data/text")]
    [InlineData("nonsense")]
    [InlineData("scale", "job-1", "0")]
    [InlineData("scale", "job-1", "many")]
    [InlineData("run", "a.yaml", "--workers", "0")]
    [InlineData("run", "a.yaml", "--set", "novalue")]
    [InlineData("verify", "models/x", "--sample", "1.5")]
    [InlineData("verify", "models/x", "--sample", "NaN")]
    [InlineData("deploy", "models/x")]
    [InlineData("deploy", "models/x", "--as", "e", "--replicas", "3..1")]
    public async Task What_cannot_be_meant_ends_with_2_and_says_where_help_is(params string[] args)
    {
        var typed = await Typed.AsIsAsync(args);
        Assert.Equal(2, typed.Exit);
        Assert.Empty(typed.Output);
        Assert.Matches("^error AISLE-7050: .+\nnext: See `aisle .*--help`.\n$", typed.Error);
    }

    [Fact]
    public async Task Nothing_typed_shows_help_on_stderr_and_ends_with_2()
    {
        var typed = await Typed.AsIsAsync();
        Assert.Equal(2, typed.Exit);
        Assert.Empty(typed.Output);
        Assert.Contains("Usage:", typed.Error);
    }

    [Fact]
    public async Task Help_that_was_asked_for_is_data()
    {
        var typed = await Typed.AsIsAsync("run", "--help");
        Assert.Equal(0, typed.Exit);
        Assert.Contains("SPEC.yaml", typed.Output);
        Assert.Contains("--set", typed.Output);
        Assert.Contains("--json", typed.Output);
    }

    [Fact]
    public async Task With_json_an_error_is_one_JSON_object_on_stderr()
    {
        var typed = await Typed.AsIsAsync("put", "--json");
        var error = System.Text.Json.JsonDocument.Parse(typed.Error).RootElement.GetProperty("error");
        Assert.Equal("AISLE-7050", error.GetProperty("code").GetString());
        Assert.NotEmpty(error.GetProperty("what").GetString()!);
        Assert.NotEmpty(error.GetProperty("next").GetString()!);
    }

    [Fact]
    public async Task No_server_known_ends_with_3()
    {
        var typed = await Typed.AsIsAsync("status");
        Assert.Equal(3, typed.Exit);
        Assert.StartsWith("error AISLE-7002: ", typed.Error);
    }

    [Fact]
    public async Task A_server_that_does_not_answer_ends_with_3()
    {
        var free = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        free.Start();
        var port = ((System.Net.IPEndPoint)free.LocalEndpoint).Port;
        free.Stop();
        var typed = await Typed.AsIsAsync("status", "--server", $"http://127.0.0.1:{port}");
        Assert.Equal(3, typed.Exit);
        Assert.StartsWith("error AISLE-7003: ", typed.Error);
    }

    [Fact]
    public async Task A_wrong_token_ends_with_4_and_a_missing_thing_with_5()
    {
        await using var server = await FakeDataCentre.StartAsync();
        using (var client = new Aisle.Api.AisleClient(server.Uri, "wrong"))
        {
            var refused = await Assert.ThrowsAsync<Aisle.Api.ApiException>(() => client.StatusAsync());
            Assert.Equal(4, Aisle.Commands.ExitCode.For(refused));
        }
        Assert.Equal(5, (await Typed.AtAsync(server, "show", "job-99")).Exit);
        Assert.Equal(5, (await Typed.AtAsync(server, "show", "no/such/name")).Exit);
    }

    [Theory]
    [InlineData("models/docs", "models/docs", "latest")]
    [InlineData("models/docs@3", "models/docs", "3")]
    [InlineData("models/docs@production", "models/docs", "production")]
    public void A_target_of_tag_is_a_name_and_a_version(string target, string name, string version) =>
        Assert.Equal((name, version), Aisle.Commands.TagCommand.Split(target));

    [Theory]
    [InlineData("@x")]
    [InlineData("x@")]
    public void Half_a_target_of_tag_is_wrong_usage(string target) =>
        Assert.Throws<Aisle.Commands.WrongUsageException>(() => Aisle.Commands.TagCommand.Split(target));
}
