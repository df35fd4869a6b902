using Aisle.Artifacts;

namespace Aisle.Tests.Commands;

public sealed class ContentTests : IDisposable
{
    private readonly string _dir = Directory.CreateTempSubdirectory("aisle-tests-").FullName;

    public void Dispose() => Directory.Delete(_dir, recursive: true);

    [Fact]
    public async Task What_is_put_comes_back_the_same()
    {
        await using var server = await FakeDataCentre.StartAsync();
        var source = Directory.CreateDirectory(Path.Combine(_dir, "in")).FullName;
        await File.WriteAllTextAsync(Path.Combine(source, "a.txt"), "hello");
        await File.WriteAllBytesAsync(Path.Combine(source, "b.bin"), new byte[300_000]);

        var put = await Typed.AtAsync(server, "put", "data/text", source, "--json");
        Assert.Equal(0, put.Exit);
        Assert.Equal("data/text", put.Json.GetProperty("name").GetString());
        Assert.Equal(300_005, put.Json.GetProperty("bytes").GetInt64());
        Assert.True(put.Json.GetProperty("storedBytes").GetInt64() > 0, put.Output);
        Assert.True(Digest.TryParse(put.Json.GetProperty("digest").GetString(), out var digest));

        var again = await Typed.AtAsync(server, "put", "data/text", source, "--json");
        Assert.Equal(0, again.Json.GetProperty("storedBytes").GetInt64());
        Assert.Equal(digest.ToString(), again.Json.GetProperty("digest").GetString());

        var target = Path.Combine(_dir, "out");
        var get = await Typed.AtAsync(server, "get", "data/text", target);
        Assert.Equal(0, get.Exit);
        Assert.Equal(target + "\n", get.Output);
        Assert.Equal("hello", await File.ReadAllTextAsync(Path.Combine(target, "a.txt")));
        Assert.Equal(300_000, new FileInfo(Path.Combine(target, "b.bin")).Length);

        var show = await Typed.AtAsync(server, "show", "data/text", "--json");
        Assert.Equal(["a.txt", "b.bin"], show.Json.GetProperty("files").EnumerateArray().Select(file => file.GetProperty("path").GetString()));
        Assert.Equal(2, show.Json.GetProperty("version").GetInt32());
        Assert.Contains("data/text", (await Typed.AtAsync(server, "ls", "data")).Output);
        Assert.Equal("", (await Typed.AtAsync(server, "ls", "other")).Output);
    }

    [Fact]
    public async Task Putting_what_is_not_there_is_wrong_usage()
    {
        await using var server = await FakeDataCentre.StartAsync();
        var typed = await Typed.AtAsync(server, "put", "data/text", Path.Combine(_dir, "nothing"));
        Assert.Equal(2, typed.Exit);
        Assert.StartsWith("error AISLE-7051: ", typed.Error);
    }

    [Theory]
    [InlineData("data/text", "text")]
    [InlineData("data/text@production", "text")]
    [InlineData("text", "text")]
    [InlineData("data/..", "")]
    public void Get_without_a_path_fills_a_folder_called_as_the_name(string name, string folder)
    {
        var digest = Digest.Of("x");
        Assert.Equal(folder == "" ? digest.Short : folder, Aisle.Commands.GetCommand.FolderFor(name, digest));
    }
}
