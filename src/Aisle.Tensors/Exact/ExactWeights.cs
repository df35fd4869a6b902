using System.Runtime.InteropServices;

namespace Aisle.Tensors;

/// <summary>
/// A model's weights as the exact arithmetic reads them: as they are, rounded to bfloat16 on the way (the arena stays float32), or kept as bfloat16 in half the
/// memory. The last two give the same bits for the same float32 weights.
/// </summary>
internal sealed unsafe class ExactWeights : IDisposable
{
    private readonly Arena? _floats;                       // whoever gave it disposes it
    private readonly Arena? _halves;                       // two bfloat16 in each float; ours
    private readonly Arena? _vectors;                      // norms and biases, rounded and widened again: kernels read them as floats
    private readonly Dictionary<int, (int At, int Length)> _vectorAt = [];

    public ExactWeights(Arena weights, ModelLayout layout, WeightPrecision precision)
    {
        _floats = weights;
        if (precision == WeightPrecision.BFloat16) _vectors = VectorsOf(layout);
    }

    private ExactWeights(Arena halves, ModelLayout layout)
    {
        _halves = halves;
        _vectors = VectorsOf(layout);
    }

    /// <summary>Weights that never change, kept as bfloat16.</summary>
    /// <param name="fill">Called for each tensor, in order, to give its float32 values in memory's layout.</param>
    public static ExactWeights Frozen(ModelLayout layout, Safetensors.TensorSource fill)
    {
        var weights = new ExactWeights(new Arena(layout.Length / 2 + 1), layout);
        try
        {
            foreach (var slot in layout.Slots)
            {
                var values = new float[slot.Length];
                fill(slot, values);
                var halves = weights.Halves.Slice(slot.Offset, slot.Length);
                for (var i = 0; i < halves.Length; i++) halves[i] = BFloat16.Round(values[i]);
            }

            foreach (var (offset, (at, length)) in weights._vectorAt) weights.CopyRow(offset, length, weights._vectors!.At(at));
            return weights;
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    /// <summary>Before each pass: norms and biases may have changed.</summary>
    public void Begin()
    {
        if (_floats is null || _vectors is null) return;
        foreach (var (offset, (at, length)) in _vectorAt) ExactKernels.RoundToBFloat16(_floats.At(offset), length, _vectors.At(at));
    }

    /// <param name="columns">Of the matrix: its row stride.</param>
    public Matrix Matrix(int offset, int columns) => _floats is null
        ? new Matrix((nint)((ushort*)_halves!.At(0) + offset), columns, 1, MatrixElement.BFloat16)
        : new Matrix((nint)_floats.At(offset), columns, 1, _vectors is null ? MatrixElement.Float32 : MatrixElement.Float32AsBFloat16);

    /// <summary>A norm or bias. Valid until the next <see cref="Begin"/>.</summary>
    public float* Vector(int offset) => _vectors is null ? _floats!.At(offset) : _vectors.At(_vectorAt[offset].At);

    /// <summary>Part of an embedding table, or of anything else.</summary>
    public void CopyRow(int offset, int length, float* target)
    {
        if (_floats is null)
        {
            var halves = Halves.Slice(offset, length);
            for (var i = 0; i < length; i++) target[i] = BFloat16.Widen(halves[i]);
        }
        else if (_vectors is null)
        {
            new ReadOnlySpan<float>(_floats.At(offset), length).CopyTo(new Span<float>(target, length));
        }
        else
        {
            ExactKernels.RoundToBFloat16(_floats.At(offset), length, target);
        }
    }

    public void Dispose()
    {
        ((IDisposable?)_halves)?.Dispose();
        ((IDisposable?)_vectors)?.Dispose();
    }

    private Span<ushort> Halves => MemoryMarshal.Cast<float, ushort>(_halves!.GetSpan());

    // Query, key and value biases lie together and are read as one, from the first on: the copy keeps the order of the slots.
    private Arena VectorsOf(ModelLayout layout)
    {
        var at = 0;
        foreach (var slot in layout.Slots.Where(slot => slot.Shape.Length == 1))
        {
            _vectorAt.Add(slot.Offset, (at, slot.Length));
            at += slot.Length;
        }

        return new Arena(at);
    }
}
