using Aisle.Tensors;
using Aisle.Training.Numerics;

namespace Aisle.Training.LanguageModels;

/// <summary>
/// Bytes that one worker of a run will hold, by part: a pure function of the model and the recipe. More slices change nothing: activations are those of one slice. The runtime
/// itself (code, threads, sockets: some tens of MB) is not counted.
/// </summary>
/// <param name="Optimizer">The optimiser's values beside each weight that learns.</param>
/// <param name="Sums">Fixed-point sums of this worker's slices: this step's, and the one's before until every member has its result.</param>
/// <param name="Buffers">Mean gradients of as many steps.</param>
/// <param name="Snapshot">The state that is set aside to be stored: in two of the workers at a time.</param>
/// <param name="Workers">Of the run; each holds the same.</param>
public sealed record MemoryPlan(long Weights, long Gradients, long Optimizer, long Sums, long Activations, long Buffers, long Snapshot, int Workers)
{
    private const int StepsAtOnce = 2, Keepers = 2;

    /// <summary>All workers together, as where they share a machine.</summary>
    public long OfAllWorkers => Workers * (Total - Snapshot) + Math.Min(Keepers, Workers) * Snapshot;

    /// <summary>Of a worker that sets a state aside; the others hold <see cref="Snapshot"/> less.</summary>
    public long Total => Weights + Gradients + Optimizer + Sums + Activations + Buffers + Snapshot;

    /// <param name="config">The model that learns, or the frozen one beside whose matrices adapters learn.</param>
    /// <param name="lora">Null when all weights learn.</param>
    public static MemoryPlan Of(LanguageModelConfig config, LoraOptions? lora, TrainingRecipe recipe, int workers)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(workers, 1);
        var model = ModelMemoryPlan.Of(config, lora, ModelKeys.OptionsOf(recipe, endOfText: null), recipe.SequencesPerSlice, recipe.ContextTokens);
        var learning = lora is null ? config.ParameterCount : AdaptedLanguageModel.CountParameters(config, lora);
        var slots = recipe.Optimizer.Create().Slots.Count;
        return new MemoryPlan(
            model.Weights, model.Gradients, slots * learning * sizeof(float), StepsAtOnce * learning * sizeof(long), model.Activations + model.Tables,
            StepsAtOnce * learning * sizeof(float), recipe.CheckpointEvery > 0 ? (1 + slots) * learning * sizeof(float) : 0, workers);
    }
}
