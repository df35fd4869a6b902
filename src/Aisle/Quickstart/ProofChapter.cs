using System.Text.Json.Nodes;
using Aisle.Api;
using Aisle.Commands;
using Aisle.Terminal;
using Spectre.Console;

namespace Aisle.Quickstart;

/// <summary>One worker that nobody disturbs goes from the checkpoint before the kill to the end, and must reach the same digest.</summary>
internal sealed class ProofChapter(Narrator narrator, AisleClient client)
{
    public async Task<VerifyFinishedView> TellAsync(Trained trained, CancellationToken cancellationToken)
    {
        narrator.Typed($"aisle verify models/quickstart --from-step {trained.KilledAtStep}");
        var accepted = await client.VerifyAsync(new VerifyRequest(trained.Model.ToString(), Sample: 1, trained.KilledAtStep), cancellationToken);
        var run = new RunProgress(accepted.Job, $"verify {accepted.Output}");
        await narrator.FollowAsync(client, accepted.Job, run, seen: null, cancellationToken);
        var finished = VerifyCommand.Compare(accepted, run.Root);
        narrator.Event("verified", new JsonObject
        {
            ["ok"] = finished.Ok, ["expected"] = finished.Expected.ToString(), ["reexecuted"] = finished.Reexecuted?.ToString(), ["fromStep"] = finished.FromStep, ["toStep"] = finished.ToStep,
        });
        narrator.Fact($"with the kill  {finished.Expected}");
        narrator.Fact($"without it     {finished.Reexecuted?.ToString() ?? "nothing"}");
        if (!finished.Ok)
            throw new CheckFailedException($"The re-execution {finished.Job} {finished.State} with {finished.Reexecuted?.ToString() ?? "no model"} instead of {finished.Expected}{(finished.Error is null ? "." : $": {finished.Error}")}",
                "Training must be exact on one machine: please report this with the output of `aisle nodes --json`.");
        narrator.Fact($"Equal: steps {finished.FromStep} to {finished.ToStep}, computed again by one worker", new Style(Color.Green));
        return finished;
    }
}
