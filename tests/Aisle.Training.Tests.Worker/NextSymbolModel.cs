using Aisle.Tensors;
using Aisle.Training.Data;
using Aisle.Training.LanguageModels;
using Aisle.Training.Numerics;

namespace Aisle.Training.Tests.Worker;

/// <summary>
/// The small managed model of the tests: from one symbol to the next through an embedding, a hidden layer and a softmax. Its text is made from a
/// seed, its order is the permutation that real training uses.
/// </summary>
public sealed class NextSymbolModel(TrainingRecipe recipe) : ITrainable
{
    private const int Symbols = 48;
    private const int Width = 12;
    private const int Hidden = 24;
    private const int EmbeddingAt = 0;
    private const int InAt = EmbeddingAt + Symbols * Width;
    private const int BiasAt = InAt + Width * Hidden;
    private const int OutAt = BiasAt + Hidden;
    private const int Count = OutAt + Hidden * Symbols;
    private readonly float[] _weights = new float[Count];
    private readonly float[] _gradients = new float[Count];
    private readonly byte[] _text = Text();
    private readonly SamplePermutation _order = new(recipe.Seed, Text().Length / recipe.ContextTokens - 1);

    public static int Parameters => Count;

    /// <summary>Set by a test that wants a worker whose bits differ.</summary>
    public bool IsFaulty { get; init; }

    /// <summary>Set by a test that wants a worker whose bits differ from some step on, and so not in its canary.</summary>
    public long FaultyFrom { get; init; } = long.MaxValue;

    public int ParameterCount => Count;

    public Span<float> Weights => _weights;

    public Span<float> Gradients => _gradients;

    public IReadOnlyList<ParameterRun> Runs { get; } =
        [new(EmbeddingAt, BiasAt, ParameterKind.Decayed), new(BiasAt, Hidden, ParameterKind.Undecayed), new(OutAt, Hidden * Symbols, ParameterKind.Decayed)];

    public long TokensIn(long step) => recipe.TokensPerStep;

    public void Initialize(ulong seed)
    {
        var random = new Random((int)seed);
        for (var i = 0; i < Count; i++) _weights[i] = (float)(random.NextDouble() - 0.5) * 0.4f;
    }

    public SliceLoss ComputeSlice(long step, int slice, GradientReady? ready = null)
    {
        Array.Clear(_gradients);
        var loss = 0.0;
        for (var sequence = 0; sequence < recipe.SequencesPerSlice; sequence++)
        {
            var position = (step * recipe.Slices + slice) * recipe.SequencesPerSlice + sequence;
            var start = (int)_order.SampleAt(position) * recipe.ContextTokens;
            for (var i = 0; i < recipe.ContextTokens; i++) loss += Learn(_text[start + i], _text[start + i + 1]);
        }
        if (IsFaulty || step >= FaultyFrom) _gradients[0] += 1e-3f;
        return new SliceLoss(loss, (long)recipe.SequencesPerSlice * recipe.ContextTokens);
    }

    public void SaveModel(string folder)
    {
        using var file = new BinaryWriter(File.Create(Path.Combine(folder, "weights.bin")));
        foreach (var weight in _weights) file.Write(weight);
    }

    public void Dispose()
    {
    }

    private double Learn(int symbol, int next)
    {
        Span<float> hidden = stackalloc float[Hidden];
        Span<float> scores = stackalloc float[Symbols];
        Span<float> hiddenSlope = stackalloc float[Hidden];
        hiddenSlope.Clear();
        for (var h = 0; h < Hidden; h++)
        {
            var sum = _weights[BiasAt + h];
            for (var w = 0; w < Width; w++) sum += _weights[EmbeddingAt + symbol * Width + w] * _weights[InAt + w * Hidden + h];
            hidden[h] = Math.Max(0, sum);
        }
        var most = float.MinValue;
        for (var s = 0; s < Symbols; s++)
        {
            var sum = 0f;
            for (var h = 0; h < Hidden; h++) sum += hidden[h] * _weights[OutAt + h * Symbols + s];
            scores[s] = sum;
            most = Math.Max(most, sum);
        }
        var total = 0f;
        for (var s = 0; s < Symbols; s++) total += scores[s] = MathF.Exp(scores[s] - most);
        var loss = -Math.Log(scores[next] / total);
        for (var s = 0; s < Symbols; s++)
        {
            var slope = scores[s] / total - (s == next ? 1 : 0);
            for (var h = 0; h < Hidden; h++)
            {
                _gradients[OutAt + h * Symbols + s] += slope * hidden[h];
                hiddenSlope[h] += slope * _weights[OutAt + h * Symbols + s];
            }
        }
        for (var h = 0; h < Hidden; h++)
        {
            if (hidden[h] <= 0) continue;
            _gradients[BiasAt + h] += hiddenSlope[h];
            for (var w = 0; w < Width; w++)
            {
                _gradients[InAt + w * Hidden + h] += hiddenSlope[h] * _weights[EmbeddingAt + symbol * Width + w];
                _gradients[EmbeddingAt + symbol * Width + w] += hiddenSlope[h] * _weights[InAt + w * Hidden + h];
            }
        }
        return loss;
    }

    private static byte[] Text()
    {
        var random = new Random(7);
        var text = new byte[20_000];
        for (var i = 1; i < text.Length; i++) text[i] = (byte)((text[i - 1] * 5 + 3 + random.Next(4)) % Symbols);
        return text;
    }
}
