namespace Aisle.Ledger.Tests.Transcripts;

/// <summary>What members say to each other, as text to read. A changed transcript is a changed promise. AISLE_TRANSCRIPTS=write writes them anew.</summary>
public sealed class TranscriptTests
{
    public static TheoryData<string> Names => ["elections", "replication", "snapshots", "membership", "reads"];

    [Theory, MemberData(nameof(Names))]
    public void Members_say_what_the_transcript_says(string name)
    {
        var path = Path.Combine(Source(), "Transcripts", name + ".txt");
        var played = Transcript.Play(File.ReadLines(path));
        if (Environment.GetEnvironmentVariable("AISLE_TRANSCRIPTS") == "write") File.WriteAllText(path, played);
        Assert.Equal(File.ReadAllText(path), played);
    }

    private static string Source()
    {
        var directory = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(directory.FullName, "Aisle.Ledger.Tests.csproj")))
        {
            directory = directory.Parent ?? throw new DirectoryNotFoundException("The tests' source is not above " + AppContext.BaseDirectory);
        }
        return directory.FullName;
    }
}
