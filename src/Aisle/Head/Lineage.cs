using Aisle.Api;
using Aisle.Artifacts;
using Aisle.Jobs;
using Aisle.Ledger;

namespace Aisle.Head;

/// <summary>Walks from an artifact back to the bytes it was made from: each output knows its job, each job its inputs.</summary>
internal static class Lineage
{
    /// <summary>Deeper graphs are cut; a pipeline of more steps than that is not read on a screen.</summary>
    private const int MaxDepth = 64;

    public static async Task<LineageView> OfAsync(LedgerState state, ArtifactStore artifacts, Digest digest, CancellationToken cancellationToken)
    {
        var names = state.Names
            .SelectMany(pair => pair.Value.History.Select(version => (version.Digest, Text: pair.Value.History.Length == version.Number ? pair.Key : $"{pair.Key}@{version.Number}")))
            .ToLookup(pair => pair.Digest, pair => pair.Text);
        return await WalkAsync(digest, 0);

        async Task<LineageView> WalkAsync(Digest at, int depth)
        {
            var view = new LineageView { Digest = at, Names = [.. names[at]] };
            if (depth >= MaxDepth || state.ProducerOf(at) is not { } made) return view;
            var spec = JobSpec.Parse((await artifacts.ReadEntryAsync(made.Spec, JobSpec.EntryName, cancellationToken: cancellationToken)).Span);
            var inputs = new SortedDictionary<string, LineageView>(StringComparer.Ordinal);
            foreach (var (port, input) in made.Inputs) inputs[port] = await WalkAsync(input, depth + 1);
            return view with
            {
                Port = made.Outputs.First(output => output.Value == at).Key,
                Job = made.ProducedBy.ToString(),
                Title = made.Title,
                Program = spec.Program,
                Identity = made.Identity,
                Parameters = spec.Parameters,
                Counts = Views.Counts(made.Counts),
                Inputs = inputs,
            };
        }
    }
}
