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
        narrator.Show(Table(status));
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

    private Grid Table(StatusView status)
    {
        var grid = new Grid().AddColumn(new GridColumn { NoWrap = true, Padding = new Padding(0, 0, 2, 0) }).AddColumn(new GridColumn { Padding = new Padding(0) });
        Row("model", trained.Model.ToString());
        Row("re-executed", $"{proof.Reexecuted}  steps {proof.FromStep} to {proof.ToStep}, equal");
        Row("quality", $"{bitsPerByte:0.000} bits per byte on held-out text");
        Row("text", $"{Amount.Bytes(put.Bytes)} put, {Amount.Bytes(put.StoredBytes)} stored after deduplication, {put.Copies} copies");
        Row("stored in all", $"{Amount.Bytes(status.Nodes.Sum(node => (double)node.StoredBytes))} on {status.Nodes.Count} nodes, copies included");
        if (trained.Steps.TokensPerSecond is { } tokens) Row("training", $"{Amount.Count(Math.Round(tokens))} tokens/s, {trained.Steps.Steps} steps, 0 lost");
        if (RecoverySeconds is { } seconds) Row("recovery", $"{Amount.Time(TimeSpan.FromSeconds(seconds))} from the lost worker to the finished step");
        if (peakBytes > 0) Row("memory", $"{Amount.Bytes(peakBytes)} at most, in {mostProcesses} processes");
        foreach (var (title, took) in narrator.Chapters) Row("", $"{Amount.Time(took),8}  {title}");
        Row("time", $"{Amount.Time(narrator.Elapsed),8}  in all");
        return grid;

        void Row(string what, string value) => grid.AddRow(new Text(what, new Style(Color.Grey)), new Text(value));
    }
}
