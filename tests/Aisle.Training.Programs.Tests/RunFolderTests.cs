using Aisle.Artifacts;
using CsCheck;

namespace Aisle.Training.Programs.Tests;

public sealed class RunFolderTests
{
    private static readonly Digest s_recipe = Digest.Of("recipe");

    [Fact]
    public void The_newest_three_states_are_kept_and_older_ones_deleted()
    {
        using var folder = new TemporaryFolder();
        using (var run = RunFolder.Open(folder["run"], fresh: false))
        {
            for (var step = 1; step <= 5; step++)
            {
                var digest = Digest.Of($"state {step}");
                Directory.CreateDirectory(run.Store.PathOf(digest));
                run.Record(new CheckpointSaved(TimeSpan.Zero, step, digest), s_recipe);
            }
            Assert.Equal(3, Directory.GetDirectories(run.StorePath).Length);
        }
        using var opened = RunFolder.Open(folder["run"], fresh: false);
        Assert.Equal((5, Digest.Of("state 5")), opened.Newest);
        Assert.Equal(s_recipe, opened.Recipe);
    }

    [Fact]
    public void Damaged_notes_are_refused_and_never_crash()
    {
        using var folder = new TemporaryFolder();
        using (var run = RunFolder.Open(folder["run"], fresh: false)) run.Record(new CheckpointSaved(TimeSpan.Zero, 10, Digest.Of("state")), s_recipe);
        var notes = File.ReadAllBytes(folder["run/run.json"]);
        Gen.Select(Gen.Int[0, notes.Length - 1], Gen.Byte, Gen.Int[0, 2]).Sample((at, value, how) =>
        {
            byte[] damaged = how switch
            {
                0 => [.. notes[..at], value, .. notes[(at + 1)..]],
                1 => notes[..at],
                _ => [.. notes[..at], value, .. notes[at..]],
            };
            File.WriteAllBytes(folder["run/run.json"], damaged);
            try
            {
                using var opened = RunFolder.Open(folder["run"], fresh: false);
            }
            catch (AisleException e)
            {
                Assert.Equal("AISLE-5172", e.Code);
            }
        }, iter: 300, threads: 1);
    }
}
