using System.Text.Json.Nodes;
using Aisle.Commands;
using Aisle.Terminal;

namespace Aisle.Quickstart;

/// <summary>
/// The main job from end to end on this machine. Every chapter is an ordinary use of a public command; nothing here reaches past the API. However it
/// ends, what it started is stopped.
/// </summary>
internal sealed class WholeStory(QuickstartOptions options, Screen screen, TimeProvider time)
{
    private readonly Narrator _narrator = new(screen, time);

    /// <returns>An <see cref="ExitCode"/>.</returns>
    public async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            var facts = await TellAsync(cancellationToken);
            facts["seconds"] = Math.Round(_narrator.Elapsed.TotalSeconds, 1);
            _narrator.Event("finished", facts);
            return ExitCode.Done;
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            screen.Say("Stopped, and everything it had started with it.");
            throw;
        }
        catch (AisleException e)
        {
            _narrator.Event("finished", new JsonObject { ["ok"] = false, ["error"] = new JsonObject { ["code"] = e.Code, ["what"] = e.What, ["next"] = e.Next } });
            throw;
        }
    }

    private async Task<JsonObject> TellAsync(CancellationToken cancellationToken)
    {
        if (options.Data is not null) SourceText.Check(options.Data);
        var spec = await ExampleSpec.FindAsync(cancellationToken);
        using var folder = WorkingFolder.Open(options.Dir);
        _narrator.Open("Aisle quickstart: a data centre on this machine, from raw text to a model that answers");

        var start = new StartChapter(_narrator, folder, options.Keep);
        await using var centre = await _narrator.ChapterAsync("start", "A data centre of three nodes starts", () => start.TellAsync(cancellationToken));
        await using var memory = new MemoryMeter(centre.Pid, time);

        var put = await _narrator.ChapterAsync("data", "Real text goes in", () => new DataChapter(_narrator, centre.Client, options, folder).TellAsync(cancellationToken));
        var run = new RunChapter(_narrator, centre.Client, spec, options, time);
        var trained = await _narrator.ChapterAsync("run", $"It is prepared, and a language model learns it on {options.Workers} workers; one of them is killed", () => run.TellAsync(cancellationToken));
        await _narrator.ChapterAsync("again", "The same again takes no work", () => run.TellAgainAsync(trained, cancellationToken));
        var proof = await _narrator.ChapterAsync("proof", "Proof: an uninterrupted worker computes the same", () => new ProofChapter(_narrator, centre.Client).TellAsync(trained, cancellationToken));
        var bits = await _narrator.ChapterAsync("serve", "The model is served and asked", () => new ServeChapter(_narrator, centre.Client).TellAsync(trained, cancellationToken));

        var closing = new ClosingTable(_narrator, put, trained, proof, bits, memory.PeakBytes, memory.MostProcesses);
        await closing.TellAsync(centre.Client, cancellationToken);
        var facts = closing.Facts();
        if (options.Keep) Leave(centre, folder, facts);
        return facts;
    }

    private void Leave(LocalDataCentre centre, WorkingFolder folder, JsonObject facts)
    {
        centre.LeaveRunning();
        folder.Keep();
        facts["url"] = centre.Ready.Url;
        facts["tokenFile"] = centre.Ready.TokenFile;
        facts["dir"] = centre.Ready.Dir;
        facts["pid"] = centre.Pid;
        _narrator.Fact("");
        _narrator.Fact($"It goes on running at {centre.Ready.Url}. The token is in {centre.Ready.TokenFile}; your commands find both by themselves:");
        _narrator.Typed("aisle status");
        _narrator.Typed($"aisle ask {ServeChapter.Endpoint} \"Returns the\"");
        _narrator.Typed("aisle lineage models/quickstart");
        _narrator.Fact($"To stop it: kill {centre.Pid}. Its folder is {folder.Path}.");
    }
}
