using CsCheck;

namespace Aisle.Artifacts.Tests;

public sealed class ArtifactStoreTests
{
    private static readonly Gen<Dictionary<string, byte[]>> Trees =
        Gen.Select(Gen.Int[0, 12], Gen.Int[0, int.MaxValue - 1]).Select((count, seed) =>
        {
            var random = new Random(seed);
            var files = new Dictionary<string, byte[]>();
            for (var i = 0; i < count; i++)
            {
                var depth = random.Next(0, 4);
                var path = string.Concat(Enumerable.Range(0, depth).Select(_ => $"d{random.Next(3)}/")) + $"f{i}-{(char)random.Next(0x3b1, 0x3c9)}";
                var length = random.Next(4) switch { 0 => 0, 1 => random.Next(100), 2 => random.Next(100_000), _ => random.Next(900_000) };
                var content = new byte[length];
                if (random.Next(4) > 0) random.NextBytes(content);
                files[path] = content;
            }
            return files;
        });

    [Fact]
    public async Task Any_tree_comes_back_as_it_went_in() => await Trees.SampleAsync(async files =>
    {
        using var folder = new Folder();
        using var disk = await DiskStore.OpenAsync(folder["store"]);
        var artifacts = new ArtifactStore(disk, folder["tmp"]);

        var put = await artifacts.PutAsync(folder.Write("in", files));
        await artifacts.GetAsync(put.Digest, folder["out"]);

        var back = Folder.Read(folder["out"]);
        Assert.Equal(files.Keys.Order(StringComparer.Ordinal), back.Keys);
        foreach (var (path, content) in files) Assert.Equal(content, back[path]);
        Assert.Equal(files.Values.Sum(content => (long)content.Length), put.Bytes);
        Assert.Equal((1, 1), (put.Copies, put.Wanted));
    }, iter: 30, threads: 1);
}
