namespace Aisle.Tests.Commands;

public sealed class StatusTests
{
    [Fact]
    public async Task Status_counts_what_is_up()
    {
        await using var server = await FakeDataCentre.StartAsync();
        server.Nodes = [FakeDataCentre.Node("node-1"), FakeDataCentre.Node("node-2", "down")];
        var typed = await Typed.AtAsync(server, "status");
        Assert.Equal(0, typed.Exit);
        Assert.Contains("1 of 2 up, 4 cores, 1.0 GiB free", typed.Output);
        Assert.Equal(7, (await Typed.AtAsync(server, "status", "--json")).Json.GetProperty("ledgerRevision").GetInt64());
    }

    [Fact]
    public async Task Nodes_are_rows_that_align_and_carry_no_colour_off_a_terminal()
    {
        await using var server = await FakeDataCentre.StartAsync();
        var lines = (await Typed.AtAsync(server, "nodes")).Output.TrimEnd('\n').Split('\n');
        Assert.Equal(4, lines.Length);
        Assert.StartsWith("NODE    STATE  PID", lines[0]);
        Assert.StartsWith("node-1  up     17", lines[1]);
        Assert.DoesNotContain(lines, line => line.Contains('\e') || line.EndsWith(' '));
        Assert.Equal(3, (await Typed.AtAsync(server, "nodes", "--json")).Json.GetArrayLength());
    }
}
