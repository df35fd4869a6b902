using System.Text.Json.Nodes;

namespace Aisle.Scenarios;

/// <summary>An acknowledged write is never lost, and a damaged one is never served.</summary>
public sealed class DurabilityScenarios
{
    [Fact]
    public async Task What_was_acknowledged_survives_kill_9_of_any_node_and_of_all_at_once()
    {
        var root = DataCentre.NewRoot();
        string digest;
        await using (var dataCentre = await DataCentre.StartAsync(root, keepsData: true))
        {
            digest = (await dataCentre.JsonAsync("put", "data/text", SampleText.Write(root)))["digest"]!.GetValue<string>();
            await dataCentre.JsonAsync("tag", "data/text", "production");
            foreach (var node in (await dataCentre.JsonAsync("nodes")).AsArray())
            {
                DataCentre.Kill(node!["pid"]!.GetValue<int>());
                await DataCentre.GoneAsync(node["pid"]!.GetValue<int>());
                await dataCentre.AllUpAsync();
                await ReadsBackAsync(dataCentre, "data/text@production");
            }
            await dataCentre.KillAllAsync();
        }
        await using var again = await DataCentre.StartAsync(root);
        Assert.Equal(digest, (await again.JsonAsync("show", "data/text@production"))["digest"]!.GetValue<string>());
        await ReadsBackAsync(again, "data/text");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public async Task With_one_nodes_directory_deleted_everything_is_readable_and_made_whole_again(int lost)
    {
        var root = DataCentre.NewRoot();
        await using (var dataCentre = await DataCentre.StartAsync(root, keepsData: true))
        {
            await dataCentre.JsonAsync("put", "data/text", SampleText.Write(root));
            await dataCentre.StopAsync();
            Directory.Delete(dataCentre.NodeDirs[lost], recursive: true);
        }
        await using var again = await DataCentre.StartAsync(root);
        await ReadsBackAsync(again, "data/text");
        // Repair runs by itself; the empty node gets its copies back.
        while ((await again.JsonAsync("nodes")).AsArray().Select(node => node!["storedBytes"]!.GetValue<long>()).Distinct().Count() != 1)
            await Task.Delay(200, TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task A_flipped_byte_is_found_on_read_and_the_data_is_served_from_another_copy()
    {
        var root = DataCentre.NewRoot();
        await using var dataCentre = await DataCentre.StartAsync(root);
        await dataCentre.JsonAsync("put", "data/text", SampleText.Write(root));
        foreach (var shard in Directory.GetFiles(Path.Combine(dataCentre.NodeDirs[0], "store", "shards"), "*", SearchOption.AllDirectories))
        {
            using var file = new FileStream(shard, FileMode.Open, FileAccess.ReadWrite);
            file.Position = file.Length / 2;
            var was = file.ReadByte();
            file.Position = file.Length / 2;
            file.WriteByte((byte)(was ^ 0x10));
        }
        await ReadsBackAsync(dataCentre, "data/text");
        while ((await dataCentre.JsonAsync("nodes")).AsArray()[0]!["corruptionsFound"]!.GetValue<long>() == 0)
            await Task.Delay(100, TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task No_process_outlives_a_supervisor_that_was_killed()
    {
        await using var dataCentre = await DataCentre.StartAsync();
        var pids = dataCentre.NodePids;
        await dataCentre.KillSupervisorAsync();
        foreach (var pid in pids) await DataCentre.GoneAsync(pid);
    }

    [Fact]
    public async Task A_taken_port_and_a_missing_folder_are_clear_errors()
    {
        await using var dataCentre = await DataCentre.StartAsync();
        var port = new Uri(dataCentre.Ready["url"]!.GetValue<string>()).Port;
        var taken = await dataCentre.RunAsync("up", "--dir", Path.Combine(dataCentre.Root, "other"), "--port", $"{port}");
        Assert.Equal(1, taken.ExitCode);
        Assert.Contains("AISLE-7021", taken.Talk);
        Assert.Contains("--port", taken.Talk);

        var missing = await dataCentre.RunAsync("put", "data/none", Path.Combine(dataCentre.Root, "absent"));
        Assert.NotEqual(0, missing.ExitCode);
        Assert.Contains("AISLE-", missing.Talk);
        Assert.Equal(5, (await dataCentre.RunAsync("show", "data/none")).ExitCode);
    }

    [Fact]
    public async Task Without_the_token_nothing_is_told()
    {
        await using var dataCentre = await DataCentre.StartAsync(nodes: 1);
        using var http = new HttpClient { BaseAddress = new Uri(dataCentre.Ready["url"]!.GetValue<string>()) };
        foreach (var path in (string[])["v1/status", "v1/names", "v1/replica/shards", "v1/store/shards", "v1/jobs"])
        {
            using var answer = await http.GetAsync(path, TestContext.Current.CancellationToken);
            Assert.Equal(System.Net.HttpStatusCode.Unauthorized, answer.StatusCode);
        }
        Assert.Equal("600", Convert.ToString((int)File.GetUnixFileMode(dataCentre.Ready["tokenFile"]!.GetValue<string>()), 8));
    }

    private static async Task ReadsBackAsync(DataCentre dataCentre, string name)
    {
        var target = Path.Combine(dataCentre.Root, "back-" + Path.GetRandomFileName());
        await dataCentre.JsonAsync("get", name, target);
        var wanted = Directory.GetFiles(Path.Combine(dataCentre.Root, "text")).Order().ToList();
        Assert.Equal(wanted.Select(Path.GetFileName), Directory.GetFiles(target).Order().Select(Path.GetFileName));
        foreach (var file in wanted) Assert.Equal(File.ReadAllBytes(file), File.ReadAllBytes(Path.Combine(target, Path.GetFileName(file))));
        Directory.Delete(target, recursive: true);
    }
}
