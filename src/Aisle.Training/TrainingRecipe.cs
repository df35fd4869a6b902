using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Aisle.Artifacts;
using Aisle.Training.Numerics;

namespace Aisle.Training;

/// <summary>How a slice's gradient is rounded before it is summed.</summary>
public enum GradientCodec
{
    /// <summary>To fixed point with the recipe's fraction bits.</summary>
    Fixed,

    /// <summary>To eight bits by chance (<see cref="Int8Codec"/>), and then to fixed point, which changes nothing any more: about a third of the bytes.</summary>
    Int8,
}

/// <summary>
/// All that decides a run's bits beside its data: the same recipe and tokens give the same model, on any number of workers. Written and
/// read as plain text parameters; its digest is what coordinator and workers compare.
/// </summary>
public sealed record TrainingRecipe
{
    private const int DefaultFractionBits = 36;

    /// <summary>What begins with <c>model.</c>, without that: the model's shape, read by whoever builds the model (<see cref="RefuseOtherModelKeys"/>).</summary>
    public ImmutableSortedDictionary<string, string> Model { get; init; } = ImmutableSortedDictionary.Create<string, string>(StringComparer.Ordinal);

    /// <summary>Optimiser updates.</summary>
    public required long Steps { get; init; }

    /// <summary>Fixed micro-batches per step, 1 to 4096: what workers share out. Eight times as many as workers keep them evenly busy.</summary>
    public required int Slices { get; init; }

    /// <summary>Samples in a slice: sequences, where the model is a language model.</summary>
    public required int SamplesPerSlice { get; init; }

    /// <summary>Most tokens that a sample counts for in the mean: the context of a language model; 1 where each sample has one loss.</summary>
    public int TokensPerSample { get; init; } = 1;

    /// <summary>The learning rate's peak.</summary>
    public required double LearningRate { get; init; }

    /// <summary>Where the learning rate ends, as a part of its peak.</summary>
    public double FinalLearningRateRatio { get; init; } = 0.1;

    public long WarmupSteps { get; init; }

    public ScheduleShape ScheduleShape { get; init; }

    public OptimizerOptions Optimizer { get; init; } = new AdamWOptions();

    /// <summary>Longest gradient that is applied as it is; 0 for no limit.</summary>
    public double ClipNorm { get; init; } = 1;

    /// <summary>Fixed-point bits after the binary point for a gradient averaged over a slice's tokens.</summary>
    public int FractionBits { get; init; } = DefaultFractionBits;

    /// <summary>How a slice's gradient is rounded, once, before anything is summed.</summary>
    public GradientCodec Codec { get; init; }

    /// <summary>States that are multiples of this are stored; 0 for none.</summary>
    public long CheckpointEvery { get; init; }

    public required ulong Seed { get; init; }

    /// <summary>Digest of the canonical parameters and the seed.</summary>
    public Digest Digest => Digest.Of(string.Join('\n', ToParameters().Select(parameter => $"{parameter.Key}={parameter.Value}").Append($"seed={Seed}")));

    public LearningRate Schedule => new(LearningRate, LearningRate * FinalLearningRateRatio, WarmupSteps, Steps, ScheduleShape);

    /// <summary>Most tokens in a step.</summary>
    public long TokensPerStep => (long)Slices * SamplesPerSlice * TokensPerSample;

    /// <summary>
    /// Bits after the binary point for a slice's summed gradient. A sum over T tokens is up to T times the average, so log2(T) bits move
    /// from behind the point to before it: an exact scaling by a power of two, the same for everyone.
    /// </summary>
    public int SumFractionBits => FractionBits - (int)Math.Ceiling(Math.Log2((double)SamplesPerSlice * TokensPerSample));

    /// <summary>For whoever builds the model: refuses keys of <see cref="Model"/> that it does not read.</summary>
    /// <exception cref="AisleException">AISLE-5160: one or more keys are not among <paramref name="known"/>; the message names every one.</exception>
    public void RefuseOtherModelKeys(params string[] known)
    {
        var others = Model.Keys.Except(known, StringComparer.Ordinal).Select(key => $"model.{key}").ToList();
        if (others.Count == 0) return;
        var choices = known.Length == 0 ? "this model takes no parameters" : $"it takes {string.Join(", ", known.Select(key => $"model.{key}"))}";
        throw new AisleException("AISLE-5160", $"This model has no {string.Join(", no ", others)}: {choices}.", "Correct the recipe's spelling.");
    }

    /// <summary>Reads a recipe; what is missing gets its default.</summary>
    /// <exception cref="AisleException">AISLE-5101: one or more parameters are wrong; the message names every one.</exception>
    public static TrainingRecipe FromParameters(IReadOnlyDictionary<string, string> parameters, ulong seed)
    {
        var reader = new ParameterReader(parameters);
        var steps = reader.Whole("steps", 100, 1, 1_000_000_000);
        var isSequences = !reader.Has("samplesPerSlice");
        if (!isSequences && (reader.Has("sequencesPerSlice") || reader.Has("contextTokens")))
            reader.Fault("samplesPerSlice is for models without sequences, sequencesPerSlice and contextTokens are for language models: both are given");
        var codec = reader.Choice("codec", ("fixed", "fixed"), ("q40", "q40"), ("q36", "q36"), ("q32", "q32"), ("int8", "int8"));
        var recipe = new TrainingRecipe
        {
            Model = parameters.Where(parameter => parameter.Key.StartsWith("model.", StringComparison.Ordinal))
                .ToImmutableSortedDictionary(parameter => parameter.Key["model.".Length..], parameter => parameter.Value, StringComparer.Ordinal),
            Steps = steps,
            Slices = (int)reader.Whole("slices", 24, 1, Protocol.SliceSet.MaxSlices),
            SamplesPerSlice = (int)(isSequences ? reader.Whole("sequencesPerSlice", 4, 1, 65536) : reader.Whole("samplesPerSlice", 4, 1, 1 << 20)),
            TokensPerSample = isSequences ? (int)reader.Whole("contextTokens", 128, 1, 1 << 20) : 1,
            LearningRate = reader.Number("optimizer.learningRate", 1e-3, 0, 10),
            FinalLearningRateRatio = reader.Number("optimizer.finalLearningRateRatio", 0.1, 0, 1),
            WarmupSteps = reader.Whole("optimizer.warmupSteps", Math.Min(20, steps / 10), 0, 1_000_000_000),
            ScheduleShape = reader.Choice("optimizer.schedule", ("cosine", ScheduleShape.Cosine), ("linear", ScheduleShape.Linear), ("constant", ScheduleShape.Constant)),
            Optimizer = OptimizerParameters.Read(reader),
            ClipNorm = reader.Number("optimizer.clipNorm", 1, 0, 1e9),
            FractionBits = FractionBitsOf(reader, codec),
            Codec = codec == "int8" ? GradientCodec.Int8 : GradientCodec.Fixed,
            CheckpointEvery = reader.Whole("checkpointEvery", 0, 0, 1_000_000_000),
            Seed = seed,
        };
        reader.ThrowIfFaulty();
        return recipe;
    }

    /// <summary>
    /// The canonical form; the seed stands beside it. What the first recipes had is always written, what came later only where it differs from its
    /// default, so that an old recipe keeps its digest.
    /// </summary>
    public IReadOnlyDictionary<string, string> ToParameters()
    {
        var parameters = new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["steps"] = RecipeText.Of(Steps),
            ["slices"] = RecipeText.Of(Slices),
            ["optimizer.learningRate"] = RecipeText.Of(LearningRate),
            ["optimizer.finalLearningRateRatio"] = RecipeText.Of(FinalLearningRateRatio),
            ["optimizer.warmupSteps"] = RecipeText.Of(WarmupSteps),
            ["optimizer.clipNorm"] = RecipeText.Of(ClipNorm),
            ["fractionBits"] = RecipeText.Of(FractionBits),
            ["checkpointEvery"] = RecipeText.Of(CheckpointEvery),
        };
        if (TokensPerSample == 1)
        {
            parameters.Add("samplesPerSlice", RecipeText.Of(SamplesPerSlice));
        }
        else
        {
            parameters.Add("sequencesPerSlice", RecipeText.Of(SamplesPerSlice));
            parameters.Add("contextTokens", RecipeText.Of(TokensPerSample));
        }
        if (Codec == GradientCodec.Int8) parameters.Add("codec", "int8");
        if (ScheduleShape != ScheduleShape.Cosine) parameters.Add("optimizer.schedule", ScheduleShape == ScheduleShape.Linear ? "linear" : "constant");
        OptimizerParameters.Write(Optimizer, parameters);
        foreach (var (name, value) in Model) parameters.Add($"model.{name}", value);
        return parameters;
    }

    // q40 is another way to say fractionBits 40, and is written as that.
    private static int FractionBitsOf(ParameterReader reader, string codec)
    {
        var meant = codec[0] == 'q' ? int.Parse(codec.AsSpan(1), System.Globalization.CultureInfo.InvariantCulture) : DefaultFractionBits;
        var bits = (int)reader.Whole("fractionBits", meant, 8, 48);
        if (codec[0] == 'q' && bits != meant) reader.Fault($"codec {codec} means fractionBits {meant}, but fractionBits is {bits}");
        return bits;
    }
}
