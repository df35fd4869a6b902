using Aisle.Commands;
using Aisle.Quickstart;

namespace Aisle.Tests.Quickstart;

public sealed class BeginningTests : IDisposable
{
    private readonly string _dir = Directory.CreateTempSubdirectory("aisle-tests-").FullName;

    public void Dispose() => Directory.Delete(_dir, recursive: true);

    [Fact]
    public async Task Data_that_is_not_there_or_empty_is_refused_before_anything_starts()
    {
        var missing = Path.Combine(_dir, "missing");
        var typed = await Typed.AsIsAsync("quickstart", "--data", missing);
        Assert.Equal(2, typed.Exit);
        Assert.Contains($"error AISLE-7071: --data {missing} is not there.", typed.Error);
        Assert.Contains("next: ", typed.Error);

        File.WriteAllText(Path.Combine(_dir, "empty.txt"), "");
        Assert.Contains("holds no text", (await Typed.AsIsAsync("quickstart", "--data", _dir)).Error);
    }

    [Fact]
    public void A_folder_that_is_not_empty_is_refused()
    {
        File.WriteAllText(Path.Combine(_dir, "a.txt"), "a");
        Assert.Equal("AISLE-7075", Assert.Throws<WrongUsageException>(() => WorkingFolder.Open(_dir)).Code);
        Assert.Equal("AISLE-7075", Assert.Throws<WrongUsageException>(() => WorkingFolder.Open(Path.Combine(_dir, "a.txt"))).Code);
    }

    [Fact]
    public void A_temporary_folder_goes_and_a_given_one_stays()
    {
        string temporary;
        using (var folder = WorkingFolder.Open(null)) File.WriteAllText(Path.Combine(temporary = folder.Path, "a.txt"), "a");
        Assert.False(Directory.Exists(temporary));
        using (WorkingFolder.Open(Path.Combine(_dir, "new")))
        {
        }
        Assert.True(Directory.Exists(Path.Combine(_dir, "new")));
    }

    [Fact]
    public async Task The_example_is_found_beside_the_program() =>
        Assert.Contains("train-language-model", (await ExampleSpec.FindAsync(CancellationToken.None)).Text);

    [Fact]
    public async Task The_quick_overrides_fit_the_example()
    {
        var spec = await ExampleSpec.FindAsync(CancellationToken.None);
        var quick = Aisle.Pipelines.PipelineSpec.Parse(spec.Text, ExampleSpec.QuickSets);
        Assert.NotEqual(Aisle.Pipelines.PipelineSpec.Parse(spec.Text).ToText(), quick.ToText());
    }

    [Fact]
    public async Task Memory_of_a_process_and_its_children_is_measured()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "reads /proc");
        await using var meter = new MemoryMeter(Environment.ProcessId, TimeProvider.System);
        while (meter.PeakBytes == 0) await Task.Yield();
        Assert.InRange(meter.PeakBytes, 10 << 20, 64L << 30);
        Assert.True(meter.MostProcesses >= 1);
    }
}
