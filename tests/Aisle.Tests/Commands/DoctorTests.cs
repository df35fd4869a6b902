using Aisle.Commands;

namespace Aisle.Tests.Commands;

public sealed class DoctorTests
{
    [Theory]
    [InlineData(UnixFileMode.UserRead | UnixFileMode.UserWrite, true)]
    [InlineData(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead, false)]
    [InlineData(UnixFileMode.UserRead | UnixFileMode.OtherWrite, false)]
    public void A_token_that_others_can_read_or_change_is_wrong(UnixFileMode mode, bool ok)
    {
        if (OperatingSystem.IsWindows()) return; // There are no such modes.
        var file = Path.GetTempFileName();
        try
        {
            File.SetUnixFileMode(file, mode);
            var finding = MachineChecks.TokenPermissions(file);
            Assert.Equal(ok, finding.Ok);
            Assert.Equal(ok, finding.Fix is null);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public async Task A_node_that_is_down_is_found_and_ends_with_1()
    {
        await using var server = await FakeDataCentre.StartAsync();
        server.Nodes = [FakeDataCentre.Node("node-1"), FakeDataCentre.Node("node-2", "down")];
        var typed = await Typed.AtAsync(server, "doctor", "--json");
        Assert.Equal(1, typed.Exit);
        var findings = typed.Json.EnumerateArray().ToDictionary(finding => finding.GetProperty("check").GetString()!);
        Assert.False(findings["data centre"].GetProperty("ok").GetBoolean());
        Assert.Contains("node-2", findings["data centre"].GetProperty("found").GetString());
        Assert.NotEmpty(findings["data centre"].GetProperty("fix").GetString()!);
        Assert.True(findings["loopback"].GetProperty("ok").GetBoolean());
        Assert.True(findings["libtorch"].GetProperty("ok").GetBoolean(), typed.Output);
    }
}
