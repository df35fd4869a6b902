using static TorchSharp.torch;

namespace Aisle.Training.Programs;

/// <summary>
/// Makes a slice's data a tensor in libtorch's own memory. TorchSharp's <c>torch.tensor(array)</c> looks at the managed array where it happens to lie, and
/// libtorch's matrix products round differently where memory begins elsewhere: the same numbers, other bits.
/// </summary>
public static class SliceTensor
{
    /// <returns>float32 on the CPU; it ends with the slice.</returns>
    /// <exception cref="ArgumentException">The shape holds another number of values.</exception>
    public static Tensor Of(ReadOnlySpan<float> values, params long[] shape)
    {
        var made = empty(shape, ScalarType.Float32);
        if (made.numel() != values.Length) throw new ArgumentException($"[{string.Join(", ", shape)}] holds {made.numel()} values; {values.Length} are given.", nameof(shape));
        values.CopyTo(TorchParameters.View(made));
        return made;
    }
}
