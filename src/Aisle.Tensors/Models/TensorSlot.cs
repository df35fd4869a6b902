using System.Collections.Immutable;

namespace Aisle.Tensors;

/// <summary>One named tensor's place in the flat arenas.</summary>
/// <param name="Name">As Hugging Face names it, e.g. <c>model.layers.0.mlp.up_proj.weight</c>.</param>
/// <param name="Shape">Row-major, as it lies in memory: a matrix is [outputs, inputs].</param>
/// <param name="Offset">Of its first element, in floats.</param>
/// <param name="Decays">Whether weight decay applies: to matrices, not to norms and biases.</param>
public sealed record TensorSlot(string Name, ImmutableArray<int> Shape, int Offset, bool Decays)
{
    public int Length { get; } = Shape.Aggregate(1, (product, size) => checked(product * size));

    /// <summary>Whether files hold it as [inputs, outputs], as GPT-2's do.</summary>
    public bool TransposedInFiles { get; init; }

    public ImmutableArray<int> ShapeInFiles => TransposedInFiles ? [.. Shape.Reverse()] : Shape;
}
