namespace Aisle.Tensors;

/// <summary>The adapters of a frozen model, in arenas of their own: the only weights that learn, and their gradients.</summary>
internal sealed unsafe class LowRankAdapters(AdapterLayout layout) : IDisposable
{
    private readonly Arena _weights = new(layout.Length), _gradients = new(layout.Length);

    public AdapterLayout Layout => layout;

    public int Rank => layout.Rank;

    public Arena Weights => _weights;

    public Arena Gradients => _gradients;

    public float* Weight(int offset) => _weights.At(offset);

    public float* Gradient(int offset) => _gradients.At(offset);

    /// <summary>A random, B zero: at first the model is the frozen one. A pure function of the seed.</summary>
    public void Initialize(ulong seed)
    {
        var weights = _weights.GetSpan();
        weights.Clear();
        for (var i = 0; i < layout.All.Length; i++)
        {
            var adapter = layout.All[i];
            WeightInitialization.FillMatrix(weights.Slice(adapter.A, Rank * adapter.Inputs), adapter.Inputs, seed, i);
        }
    }

    /// <summary>Adds s · B · A to a matrix [outputs, inputs] of the frozen model, with the same bits everywhere.</summary>
    public void AddTo(LowRankAdapter adapter, Span<float> matrix, ExactProduct product)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(matrix.Length, adapter.Outputs * adapter.Inputs);
        var change = new Arena(matrix.Length);
        using IDisposable owner = change;
        product.Multiply(adapter.Outputs, adapter.Inputs, Rank, new Matrix(Weight(adapter.B), Rank), new Matrix(Weight(adapter.A), adapter.Inputs), change.At(0), adapter.Inputs);
        ExactKernels.Scale(change.At(0), matrix.Length, layout.Scale);
        fixed (float* target = matrix) ExactKernels.Add(change.At(0), matrix.Length, target);
    }

    public void Dispose()
    {
        ((IDisposable)_weights).Dispose();
        ((IDisposable)_gradients).Dispose();
    }
}
