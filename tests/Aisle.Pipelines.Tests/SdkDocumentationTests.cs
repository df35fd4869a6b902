namespace Aisle.Pipelines.Tests;

public sealed class SdkDocumentationTests
{
    [Fact]
    public void The_sdk_on_this_machine_has_documentation()
    {
        var found = SdkDocumentation.Find();
        Assert.True(found.Files.Count > 100, $"{found.Files.Count} files in {found.Root}");
        Assert.Contains(found.Files, file => file.Name == "Microsoft.NETCore.App.Ref/System.Collections.xml");
        Assert.Equal(found.Files.Select(file => file.Name).Order(StringComparer.Ordinal), found.Files.Select(file => file.Name));
    }

    [Fact]
    public void A_subset_stays_within_its_size_and_is_always_the_same()
    {
        using var folder = new TemporaryFolder();
        var bytes = SdkDocumentation.Find().CopyTo(folder.Path, maxBytes: 2_000_000);
        Assert.InRange(bytes, 1_500_000, 2_000_000);
        Assert.Equal(bytes, Directory.GetFiles(folder.Path, "*.xml", SearchOption.AllDirectories).Sum(file => new FileInfo(file).Length));
    }

    [Fact]
    public void Without_an_sdk_the_message_says_where_it_looked_and_what_to_do()
    {
        using var folder = new TemporaryFolder();
        var missing = Assert.Throws<AisleException>(() => SdkDocumentation.Find([folder.Path]));
        Assert.Contains(folder.Path, missing.What);
        Assert.Contains("--data PATH", missing.Next);
    }
}
