using System.Collections.Immutable;
using Aisle.Api;
using Aisle.Artifacts;
using Aisle.Jobs;
using Aisle.Ledger;
using Aisle.Pipelines;
using Aisle.Training.LanguageModels;

namespace Aisle.Work;

/// <summary>A task: folders in, folders out, each output an artifact.</summary>
internal static class TaskWork
{
    public static async Task RunAsync(ProcessStart start, JobSpec spec, AisleClient client, CancellationToken cancellationToken)
    {
        var inputs = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (var (port, digest) in spec.Inputs) inputs[port] = await JobProcess.FetchAsync(start, client, digest, cancellationToken);
        var outputs = spec.Outputs.ToImmutableSortedDictionary(port => port, port => Directory.CreateDirectory(Path.Combine(start.Scratch, "out", port)).FullName, StringComparer.Ordinal);

        var counts = spec.Program.StartsWith("evaluate-language-model@", StringComparison.Ordinal)
            ? await EvaluateAsync(spec, inputs["model"], inputs["tokens"], outputs["evaluation"], cancellationToken)
            : await TransformAsync(spec, inputs.ToImmutable(), outputs, cancellationToken);

        var stored = new SortedDictionary<string, Digest>(StringComparer.Ordinal);
        foreach (var (port, folder) in outputs) stored[port] = (await client.Artifacts.PutAsync(folder, cancellationToken: cancellationToken)).Digest;
        JobProcess.Say(new ProcessMessage { Type = "result", Outputs = stored, Counts = counts });
    }

    private static async Task<RecordCounts?> TransformAsync(
        JobSpec spec, ImmutableSortedDictionary<string, string> inputs, ImmutableSortedDictionary<string, string> outputs, CancellationToken cancellationToken)
    {
        var result = await TextTransforms.RunAsync(new TransformCall
        {
            Program = spec.Program,
            Parameters = spec.Parameters,
            Inputs = inputs,
            Outputs = outputs,
            Seed = spec.Seed,
            Progress = new SteadyProgress().Of<TransformProgress>(at => (at.DoneBytes, at.TotalBytes), "bytes"),
        }, cancellationToken);
        JobProcess.Log(string.Join(", ", result.Summary.Select(figure => $"{figure.Key} {figure.Value:N0}")));
        return result.Counts;
    }

    private static async Task<RecordCounts?> EvaluateAsync(JobSpec spec, string model, string tokens, string output, CancellationToken cancellationToken)
    {
        var evaluation = await LanguageModelEvaluation.RunAsync(model, tokens, spec.Parameters.GetValueOrDefault("model.separateDocuments") == "true", new SteadyProgress().Of<(long Done, long Total)>(at => (at.Done, at.Total), "windows"), cancellationToken);
        await File.WriteAllBytesAsync(Path.Combine(output, "evaluation.json"), evaluation.ToJson(), cancellationToken);
        JobProcess.Log($"{evaluation.BitsPerByte:F4} bits per byte on {evaluation.Bytes:N0} bytes of held-out text ({evaluation.LossPerToken:F4} nats a token, {evaluation.Tokens:N0} tokens)");
        return null;
    }
}
