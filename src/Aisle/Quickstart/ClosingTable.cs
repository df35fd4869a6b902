using System.Text.Json.Nodes;
using Aisle.Api;
using Aisle.Artifacts;
using Aisle.Commands;
using Aisle.Terminal;
using Spectre.Console;

namespace Aisle.Quickstart;

/// <summary>What it all came to.</summary>
internal sealed class ClosingTable(Narrator narrator, PutResult put, Trained trained, VerifyFinishedView proof, double bitsPerByte, long peakBytes, int mostProcesses)
{
    public async Task TellAsync(AisleClient client, CancellationToken cancellationToken)
    {
        var status = await client.StatusAsync(cancellationToken);
        var lineage = await client.LineageAsync(trained.Model.ToString(), cancellationToken);
        narrator.Fact("");
        narrator.Fact("Where the model comes from", new Style(decoration: Decoration.Bold));
        narrator.Show(LineageTree.Draw(lineage));
        narrator.Fact("");
        narrator.Fact("In short", new Style(decoration: Decoration.Bold));
        Sum(status);
    }

    /// <summary>For programs: the contract's fields and more.</summary>
    public JsonObject Facts() => new()
    {
        ["ok"] = true,
        ["model"] = trained.Model.ToString(),
        ["reexecuted"] = proof.Reexecuted.ToString(),
        ["stepsLost"] = trained.Steps.Lost,
        ["recoverySeconds"] = RecoverySeconds,
        ["nextStepSeconds"] = trained.Steps.NextStepSeconds,
        ["slicesRecomputed"] = trained.Steps.SlicesRecomputed,
        ["steps"] = trained.Steps.Steps,
        ["fromStep"] = proof.FromStep,
        ["tokensPerSecond"] = trained.Steps.TokensPerSecond,
        ["bitsPerByte"] = bitsPerByte,
        ["bytes"] = put.Bytes,
        ["storedBytes"] = put.StoredBytes,
        ["peakMemoryBytes"] = peakBytes,
    };

    // The run's own measure; the time to the next step where it gave none.
    private double? RecoverySeconds => trained.Steps.RecoverySeconds ?? trained.Steps.NextStepSeconds;

    private void Sum(StatusView status)
    {
        Row("model", trained.Model.ToString());
        Row("re-executed", proof.Reexecuted.ToString()!);
        Row("", $"steps {proof.FromStep} to {proof.ToStep} again on one worker: equal");
        Row("quality", $"{bitsPerByte:0.000} bits per byte on held-out text");
        Row("text", $"{Amount.Bytes(put.Bytes)} put, {Amount.Bytes(put.StoredBytes)} stored after deduplication, {put.Copies} copies");
        Row("stored in all", $"{Amount.Bytes(status.Nodes.Sum(node => (double)node.StoredBytes))} on {status.Nodes.Count} nodes, copies and checkpoints included");
        if (trained.Steps.TokensPerSecond is { } tokens) Row("training", $"{Amount.Count(Math.Round(tokens))} tokens/s, {trained.Steps.Steps} steps, {trained.Steps.Lost} lost");
        if (RecoverySeconds is { } seconds) Row("recovery", $"{Amount.Time(TimeSpan.FromSeconds(seconds))} from the lost worker to the finished step");
        if (peakBytes > 0) Row("memory", $"{Amount.Bytes(peakBytes)} at most, {mostProcesses} processes together");
        foreach (var (title, took) in narrator.Chapters) Row(narrator.Chapters[0].Title == title ? "time" : "", $"{Amount.Time(took),-7} {title}");
        Row("", $"{Amount.Time(narrator.Elapsed),-7} in all");

        void Row(string what, string value) => narrator.Show(new Paragraph().Append(what.PadRight(15), new Style(Color.Grey)).Append(value));
    }
}
