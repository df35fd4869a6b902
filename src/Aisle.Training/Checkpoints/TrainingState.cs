using System.Globalization;
using System.Text.Json;
using Aisle.Artifacts;
using Aisle.Tensors;
using Aisle.Training.Exchange;
using Aisle.Training.Numerics;
using Aisle.Training.Protocol;

namespace Aisle.Training.Checkpoints;

/// <summary>A copy of everything a run carries from step to step: weights, the optimiser's arenas and powers, and the step's number.</summary>
/// <param name="Values">Weights, then the optimiser's slots in its order; each as long as the model.</param>
internal sealed record TrainingState(long Step, SharedBuffer<float> Values, OptimizerPowers Powers)
{
    /// <param name="parameters">Of the model.</param>
    public StateHash Hash(int parameters) => StateHash.Of(Values.Span[..parameters], Values.Span[parameters..], Powers);
}

/// <summary>
/// A state as a folder: <c>state.safetensors</c> with the weights and a tensor for each of the optimiser's slots, and <c>training.json</c> with the rest, numbers whose
/// bits matter in hex. The same state gives the same bytes, whoever writes it.
/// </summary>
internal static class CheckpointFolder
{
    private const string StateFile = "state.safetensors";
    private const string FactsFile = "training.json";

    public static void Write(string folder, TrainingState state, TrainingRecipe recipe, Digest canary)
    {
        using (var file = File.Create(Path.Combine(folder, StateFile)))
        {
            Safetensors.Write(file, Tensors(recipe, state.Values.Length), state.Values.Span);
        }
        using var facts = File.Create(Path.Combine(folder, FactsFile));
        using var json = new Utf8JsonWriter(facts, new JsonWriterOptions { Indented = true, NewLine = "\n" });
        json.WriteStartObject();
        json.WriteNumber("step", state.Step);
        json.WriteString("beta1Power", Bits(state.Powers.Beta1));
        json.WriteString("beta2Power", Bits(state.Powers.Beta2));
        json.WriteString("canary", canary.ToString());
        json.WriteNumber("seed", recipe.Seed);
        json.WriteStartObject("recipe");
        foreach (var (name, value) in recipe.ToParameters()) json.WriteString(name, value);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    /// <summary>Reads a state into <paramref name="values"/> and checks that it belongs to this run.</summary>
    /// <exception cref="AisleException">AISLE-5112: not a checkpoint. AISLE-5113: of another recipe or numeric class.</exception>
    public static (long Step, OptimizerPowers Powers) Read(string folder, Span<float> values, TrainingRecipe recipe, Digest canary)
    {
        var (step, powers) = ReadFacts(Path.Combine(folder, FactsFile), recipe, canary);
        var tensors = Safetensors.Read(Path.Combine(folder, StateFile));
        foreach (var slot in Tensors(recipe, values.Length))
        {
            if (!tensors.TryGetValue(slot.Name, out var tensor)) throw Malformed($"tensor {slot.Name} is missing");
            tensor.CopyTo(values.Slice(slot.Offset, slot.Length));
        }
        return (step, powers);
    }

    private static (long, OptimizerPowers) ReadFacts(string path, TrainingRecipe recipe, Digest canary)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path), new JsonDocumentOptions { MaxDepth = 8 });
            var facts = document.RootElement;
            var stored = TrainingRecipe.FromParameters(
                facts.GetProperty("recipe").EnumerateObject().ToDictionary(parameter => parameter.Name, parameter => parameter.Value.GetString() ?? ""), facts.GetProperty("seed").GetUInt64());
            if (stored.Digest != recipe.Digest)
            {
                throw new AisleException("AISLE-5113", $"The checkpoint is of recipe {stored.Digest.Short}, the run of {recipe.Digest.Short}.", "Resume with the recipe and seed that the checkpoint was made with.");
            }
            if (Digest.Parse(facts.GetProperty("canary").GetString()!) is var theirs && theirs != canary)
            {
                throw new AisleException(
                    "AISLE-5113", $"The checkpoint was made in another numeric class: its canary gradient is {theirs.Short}, this machine's is {canary.Short}.",
                    "Resume on machines of the class it was made in, or start anew; `aisle doctor` prints this machine's class.");
            }
            return (facts.GetProperty("step").GetInt64(), new OptimizerPowers(Number(facts, "beta1Power"), Number(facts, "beta2Power")));
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or OverflowException or IOException or ArgumentException)
        {
            throw Malformed($"{FactsFile}: {e.Message}");
        }
    }

    private static string Bits(double value) => BitConverter.DoubleToUInt64Bits(value).ToString("x16", CultureInfo.InvariantCulture);

    private static double Number(JsonElement facts, string name) =>
        BitConverter.UInt64BitsToDouble(ulong.Parse(facts.GetProperty(name).GetString()!, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture));

    private static TensorSlot[] Tensors(TrainingRecipe recipe, int elements)
    {
        string[] names = ["weights", .. recipe.Optimizer.Create().Slots];
        var length = elements / names.Length;
        return [.. names.Select((name, i) => new TensorSlot(name, [length], i * length, false))];
    }

    private static AisleException Malformed(string what) => new("AISLE-5112", $"This is not a checkpoint: {what}.", "Resume from another checkpoint.");
}
