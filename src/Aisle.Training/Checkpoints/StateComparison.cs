using System.Runtime.InteropServices;
using Aisle.Artifacts;
using Aisle.Tensors;

namespace Aisle.Training.Checkpoints;

/// <summary>A tensor that is not the same in two states.</summary>
/// <param name="Part"><c>weights</c>, or one of the optimiser's own arrays such as <c>mean</c>.</param>
/// <param name="Tensor">The tensor in it; <c>all</c> where the parts have no names.</param>
/// <param name="Different">How many of its <paramref name="Elements"/> have other bits.</param>
/// <param name="FirstElement">The first of them, counted from the tensor's start.</param>
/// <param name="Most">Largest absolute difference; NaN where one is no number.</param>
public sealed record TensorDifference(string Part, string Tensor, long Elements, long Different, long FirstElement, double Most, Digest First, Digest Second);

/// <summary>Compares two stored states tensor by tensor, by digest first and by bits where those differ.</summary>
public static class StateComparison
{
    private const string StateFile = "state.safetensors";

    /// <param name="tensors">Names of the parts of the weights; empty for none.</param>
    /// <returns>What differs, the weights' tensors first, in the model's order. Empty for equal states.</returns>
    /// <exception cref="AisleException">AISLE-5184: the states do not have the same parts. AISLE-5020, 5022: one cannot be read.</exception>
    public static IReadOnlyList<TensorDifference> Of(string firstFolder, string secondFolder, IReadOnlyList<TensorSlot> tensors)
    {
        var first = Safetensors.Read(Path.Combine(firstFolder, StateFile));
        var second = Safetensors.Read(Path.Combine(secondFolder, StateFile));
        if (!first.Keys.Order(StringComparer.Ordinal).SequenceEqual(second.Keys.Order(StringComparer.Ordinal)) || first.Any(part => part.Value.Bytes.Length != second[part.Key].Bytes.Length))
        {
            throw new AisleException("AISLE-5184", $"The states have other parts: {Parts(first)} against {Parts(second)}.", "The two runs train models of different shapes or with different optimisers; only runs of one shape can be compared tensor by tensor.");
        }
        var differences = new List<TensorDifference>();
        // The weights first: the optimiser's arrays follow from the same gradient.
        foreach (var part in first.Keys.OrderBy(name => name != "weights").ThenBy(name => name, StringComparer.Ordinal))
        {
            var a = Floats(first[part]);
            var b = Floats(second[part]);
            var named = tensors.Count > 0 && tensors.Sum(tensor => (long)tensor.Length) == a.Length;
            if (!named) Compare(differences, part, "all", a, b);
            else foreach (var tensor in tensors) Compare(differences, part, tensor.Name, a.Slice(tensor.Offset, tensor.Length), b.Slice(tensor.Offset, tensor.Length));
        }
        return differences;
    }

    private static void Compare(List<TensorDifference> differences, string part, string tensor, ReadOnlySpan<float> first, ReadOnlySpan<float> second)
    {
        var (firstDigest, secondDigest) = (Digest.Of(MemoryMarshal.AsBytes(first)), Digest.Of(MemoryMarshal.AsBytes(second)));
        if (firstDigest == secondDigest) return;
        long different = 0, firstElement = -1;
        var most = 0.0;
        for (var i = 0; i < first.Length; i++)
        {
            if (BitConverter.SingleToInt32Bits(first[i]) == BitConverter.SingleToInt32Bits(second[i])) continue;
            different++;
            if (firstElement < 0) firstElement = i;
            most = Math.Max(most, Math.Abs((double)first[i] - second[i]));
        }
        differences.Add(new TensorDifference(part, tensor, first.Length, different, firstElement, most, firstDigest, secondDigest));
    }

    private static ReadOnlySpan<float> Floats(SafetensorsEntry entry) => entry.Type == ElementType.F32
        ? MemoryMarshal.Cast<byte, float>(entry.Bytes.Span)
        : throw new AisleException("AISLE-5184", $"Part {entry.Name} is of {entry.Type}, not F32.", "Compare states that Aisle stored.");

    private static string Parts(IReadOnlyDictionary<string, SafetensorsEntry> state) =>
        string.Join(", ", state.OrderBy(part => part.Key, StringComparer.Ordinal).Select(part => $"{part.Key} of {part.Value.Bytes.Length / sizeof(float)}"));
}
