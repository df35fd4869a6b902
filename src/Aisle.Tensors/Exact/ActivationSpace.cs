namespace Aisle.Tensors;

/// <summary>What one layer keeps for the way back.</summary>
internal sealed unsafe class KeptLayer
{
    // Scales and MiddleScales hold a scale for each row, then, for LayerNorm, a mean for each row.
    public float* Input, Scales, Normed, QueryKeyValue, Attention, Attended, Middle, MiddleScales, MiddleNormed, Up, Activated;
}

/// <summary>All memory of a forward and backward pass of one shape, allocated once. With recomputation all layers but for their inputs share one place.</summary>
internal sealed unsafe class ActivationSpace : IDisposable
{
    private readonly List<(nint Data, long Length)> _blocks = [];

    public ActivationSpace(LanguageModelConfig config, int sequences, int length, bool recompute, int adapterRank)
    {
        (Sequences, Length, Rows) = (sequences, length, sequences * length);
        Starts = new int[Rows];
        long rows = Rows, width = config.Width, channels = config.FeedForward, square = (long)length * length, scales = config.Family == ModelFamily.Gpt2 ? 2 * rows : rows;
        Layers = new KeptLayer[config.Layers];
        for (var i = 0; i < Layers.Length; i++)
        {
            var input = Take(rows * width);
            Layers[i] = recompute && i > 0
                ? SharedWith(Layers[0], input)
                : new KeptLayer
                {
                    Input = input, Scales = Take(scales), Normed = Take(rows * width), QueryKeyValue = Take(rows * config.RowChannels),
                    Attention = Take(sequences * config.Heads * square), Attended = Take(rows * width), Middle = Take(rows * width), MiddleScales = Take(scales),
                    MiddleNormed = Take(rows * width), Up = Take(rows * config.UpChannels), Activated = Take(rows * channels),
                };
        }

        Output = Take(rows * width);
        OutputNormed = Take(rows * width);
        OutputScales = Take(scales);
        Logits = Take(rows * config.VocabularySize);
        DStream = Take(rows * width);
        DNormed = Take(rows * width);
        DAttended = Take(rows * width);
        DActivated = Take(rows * channels);
        DUp = Take(rows * config.UpChannels);
        DQueryKeyValue = Take(rows * config.RowChannels);
        DScores = Take(square);
        Low = Take(rows * adapterRank);
        DLow = Take(rows * adapterRank);
    }

    public int Sequences { get; }

    public int Length { get; }

    public int Rows { get; }

    public KeptLayer[] Layers { get; }

    /// <summary>Of each row: where in its sequence its document begins.</summary>
    public int[] Starts { get; }

    public readonly float* Output, OutputNormed, OutputScales, Logits, DStream, DNormed, DAttended, DActivated, DUp, DQueryKeyValue, DScores;

    /// <summary>[rows, rank]: an adapter's inner values, and what flows back to them.</summary>
    public readonly float* Low, DLow;

    public void Dispose()
    {
        foreach (var (data, length) in _blocks) NativeFloats.Free((float*)data, length);
        _blocks.Clear();
    }

    private static KeptLayer SharedWith(KeptLayer first, float* input) => new()
    {
        Input = input, Scales = first.Scales, Normed = first.Normed, QueryKeyValue = first.QueryKeyValue, Attention = first.Attention, Attended = first.Attended,
        Middle = first.Middle, MiddleScales = first.MiddleScales, MiddleNormed = first.MiddleNormed, Up = first.Up, Activated = first.Activated,
    };

    private float* Take(long length)
    {
        var block = NativeFloats.Allocate(length);
        _blocks.Add(((nint)block, length));
        return block;
    }
}
