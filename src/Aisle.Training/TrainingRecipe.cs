using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Aisle.Artifacts;
using Aisle.Training.Numerics;

namespace Aisle.Training;

/// <summary>
/// All that decides a run's bits beside its data: the same recipe and tokens give the same model, on any number of workers. Written and
/// read as plain text parameters; its digest is what coordinator and workers compare.
/// </summary>
public sealed record TrainingRecipe
{
    /// <summary>What begins with <c>model.</c>, without that: the model's shape, read by whoever builds the model.</summary>
    public ImmutableSortedDictionary<string, string> Model { get; init; } = ImmutableSortedDictionary.Create<string, string>(StringComparer.Ordinal);

    /// <summary>Optimiser updates.</summary>
    public required long Steps { get; init; }

    /// <summary>Fixed micro-batches per step, 1 to 4096: what workers share out. Eight times as many as workers keep them evenly busy.</summary>
    public required int Slices { get; init; }

    public required int SequencesPerSlice { get; init; }

    public required int ContextTokens { get; init; }

    public required double LearningRate { get; init; }

    /// <summary>Where the learning rate ends, as a part of its peak.</summary>
    public required double FinalLearningRateRatio { get; init; }

    public required long WarmupSteps { get; init; }

    public required AdamWOptions Optimizer { get; init; }

    /// <summary>Longest gradient that is applied as it is; 0 for no limit.</summary>
    public required double ClipNorm { get; init; }

    /// <summary>Fixed-point bits after the binary point for a gradient averaged over a slice's tokens.</summary>
    public required int FractionBits { get; init; }

    /// <summary>States that are multiples of this are stored; 0 for none.</summary>
    public required long CheckpointEvery { get; init; }

    public required ulong Seed { get; init; }

    /// <summary>Digest of the canonical parameters and the seed.</summary>
    public Digest Digest => Digest.Of(string.Join('\n', ToParameters().Select(parameter => $"{parameter.Key}={parameter.Value}").Append($"seed={Seed}")));

    public LearningRate Schedule => new(LearningRate, LearningRate * FinalLearningRateRatio, WarmupSteps, Steps);

    /// <summary>
    /// Bits after the binary point for a slice's summed gradient. A sum over T tokens is up to T times the average, so log2(T) bits move
    /// from behind the point to before it: an exact scaling by a power of two, the same for everyone.
    /// </summary>
    public int SumFractionBits => FractionBits - (int)Math.Ceiling(Math.Log2((double)SequencesPerSlice * ContextTokens));

    /// <summary>Reads a recipe; what is missing gets its default.</summary>
    /// <exception cref="AisleException">AISLE-5101: one or more parameters are wrong; the message names every one.</exception>
    public static TrainingRecipe FromParameters(IReadOnlyDictionary<string, string> parameters, ulong seed)
    {
        var reader = new ParameterReader(parameters);
        var steps = reader.Whole("steps", 100, 1, 1_000_000_000);
        var recipe = new TrainingRecipe
        {
            Model = parameters.Where(parameter => parameter.Key.StartsWith("model.", StringComparison.Ordinal))
                .ToImmutableSortedDictionary(parameter => parameter.Key["model.".Length..], parameter => parameter.Value, StringComparer.Ordinal),
            Steps = steps,
            Slices = (int)reader.Whole("slices", 24, 1, Protocol.SliceSet.MaxSlices),
            SequencesPerSlice = (int)reader.Whole("sequencesPerSlice", 4, 1, 65536),
            ContextTokens = (int)reader.Whole("contextTokens", 128, 1, 1 << 20),
            LearningRate = reader.Number("optimizer.learningRate", 1e-3, 0, 10),
            FinalLearningRateRatio = reader.Number("optimizer.finalLearningRateRatio", 0.1, 0, 1),
            WarmupSteps = reader.Whole("optimizer.warmupSteps", Math.Min(20, steps / 10), 0, 1_000_000_000),
            Optimizer = new AdamWOptions
            {
                Beta1 = reader.Number("optimizer.beta1", 0.9, 0, 0.9999999),
                Beta2 = reader.Number("optimizer.beta2", 0.95, 0, 0.9999999),
                Epsilon = reader.Number("optimizer.epsilon", 1e-8, 1e-30, 1),
                WeightDecay = reader.Number("optimizer.weightDecay", 0.1, 0, 10),
            },
            ClipNorm = reader.Number("optimizer.clipNorm", 1, 0, 1e9),
            FractionBits = (int)reader.Whole("fractionBits", 36, 8, 48),
            CheckpointEvery = reader.Whole("checkpointEvery", 0, 0, 1_000_000_000),
            Seed = seed,
        };
        reader.ThrowIfFaulty();
        return recipe;
    }

    /// <summary>The canonical form, every default written out; the seed stands beside it.</summary>
    public IReadOnlyDictionary<string, string> ToParameters()
    {
        var parameters = new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["steps"] = Text(Steps),
            ["slices"] = Text(Slices),
            ["sequencesPerSlice"] = Text(SequencesPerSlice),
            ["contextTokens"] = Text(ContextTokens),
            ["optimizer.learningRate"] = Text(LearningRate),
            ["optimizer.finalLearningRateRatio"] = Text(FinalLearningRateRatio),
            ["optimizer.warmupSteps"] = Text(WarmupSteps),
            ["optimizer.beta1"] = Text(Optimizer.Beta1),
            ["optimizer.beta2"] = Text(Optimizer.Beta2),
            ["optimizer.epsilon"] = Text(Optimizer.Epsilon),
            ["optimizer.weightDecay"] = Text(Optimizer.WeightDecay),
            ["optimizer.clipNorm"] = Text(ClipNorm),
            ["fractionBits"] = Text(FractionBits),
            ["checkpointEvery"] = Text(CheckpointEvery),
        };
        foreach (var (name, value) in Model) parameters.Add($"model.{name}", value);
        return parameters;

        static string Text(IFormattable value) => value.ToString(value is double ? "R" : null, CultureInfo.InvariantCulture);
    }
}

/// <summary>Reads text parameters and gathers every fault, so that a user corrects a spec once.</summary>
internal sealed class ParameterReader(IReadOnlyDictionary<string, string> parameters)
{
    private static readonly HashSet<string> s_known =
    [
        "steps", "slices", "sequencesPerSlice", "contextTokens", "optimizer.learningRate", "optimizer.finalLearningRateRatio", "optimizer.warmupSteps", "optimizer.beta1",
        "optimizer.beta2", "optimizer.epsilon", "optimizer.weightDecay", "optimizer.clipNorm", "fractionBits", "checkpointEvery",
    ];

    private readonly List<string> _faults =
    [
        .. parameters.Keys.Where(key => !s_known.Contains(key) && !key.StartsWith("model.", StringComparison.Ordinal)).Order(StringComparer.Ordinal)
            .Select(key => $"'{key}' is no parameter of training"),
    ];

    public long Whole(string name, long otherwise, long least, long most)
    {
        if (!parameters.TryGetValue(name, out var text)) return Math.Clamp(otherwise, least, most);
        if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) && value >= least && value <= most) return value;
        _faults.Add($"{name} is '{Shown(text)}', not a whole number from {least} to {most}");
        return least;
    }

    public double Number(string name, double otherwise, double least, double most)
    {
        if (!parameters.TryGetValue(name, out var text)) return otherwise;
        if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && value >= least && value <= most) return value;
        _faults.Add(string.Create(CultureInfo.InvariantCulture, $"{name} is '{Shown(text)}', not a number from {least} to {most}"));
        return least;
    }

    public void ThrowIfFaulty()
    {
        if (_faults.Count == 0) return;
        throw new AisleException("AISLE-5101", $"The training recipe is wrong: {string.Join("; ", _faults)}.", "Correct these parameters in the spec.");
    }

    private static string Shown(string text) => text.Length <= 40 ? text : text[..40] + "…";
}
