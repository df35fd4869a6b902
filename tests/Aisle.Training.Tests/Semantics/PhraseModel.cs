using System.Collections.Concurrent;
using Aisle.Tensors;
using Aisle.Training.Data;
using Aisle.Training.LanguageModels;
using Aisle.Training.Numerics;

namespace Aisle.Training.Tests.Semantics;

/// <summary>
/// A model with what real ones have and a plain one lacks: samples of different lengths, one table for input and output, dropout, a frozen offset and a running mean.
/// A symbol's row, plus bias and offset, through the mask, against all rows: the next symbol's scores.
/// </summary>
internal sealed class PhraseModel : ITrainable
{
    public const int Phrases = 37;
    private const int Symbols = 20, Width = 8;
    private const int TableAt = 0, BiasAt = Symbols * Width, OffsetAt = BiasAt + Width, MeanAt = OffsetAt + Width, Count = MeanAt + Width;
    private readonly TrainingRecipe _recipe;
    private readonly SamplePermutation _order;
    private readonly float[] _weights = new float[Count];
    private readonly float[] _gradients = new float[Count];
    private readonly float[] _mask = new float[64 * Width];

    public PhraseModel(TrainingRecipe recipe)
    {
        _recipe = recipe;
        _order = new SamplePermutation(recipe.Seed, Phrases);
    }

    /// <summary>(step, slice) → a number to stand in a gradient of it.</summary>
    public Dictionary<(long Step, int Slice), float> Poison { get; init; } = [];

    /// <summary>Every sample that any model with this bag has seen.</summary>
    public ConcurrentBag<(long Step, int Slice, long Sample)> Seen { get; init; } = [];

    public static Range Offset => OffsetAt..MeanAt;

    public static Range Mean => MeanAt..Count;

    public int ParameterCount => Count;

    public Span<float> Weights => _weights;

    public Span<float> Gradients => _gradients;

    public IReadOnlyList<ParameterRun> Runs { get; } =
    [
        new(TableAt, BiasAt, ParameterKind.Decayed), new(BiasAt, Width, ParameterKind.Undecayed), new(OffsetAt, Width, ParameterKind.Frozen),
        new(MeanAt, Width, ParameterKind.RunningAverage, 0.2f),
    ];

    public long TokensIn(long step) => Enumerable.Range(0, _recipe.Slices).SelectMany(slice => SamplesOf(step, slice)).Sum(sample => (long)PhraseOf(sample).Length - 1);

    public IEnumerable<long> SamplesOf(long step, int slice) =>
        Enumerable.Range(0, _recipe.SequencesPerSlice).Select(i => _order.SampleAt((step * _recipe.Slices + slice) * _recipe.SequencesPerSlice + i));

    public void Initialize(ulong seed)
    {
        var random = new CounterRandom(seed, 0, 0);
        for (var i = 0; i < Count; i++) _weights[i] = random.UnitAt(i) - 0.5f;
        _weights.AsSpan(Mean).Clear();
    }

    public SliceLoss ComputeSlice(long step, int slice, GradientReady? ready = null)
    {
        Array.Clear(_gradients);
        new CounterRandom(_recipe.Seed, step, slice, stream: 1).FillMask(_mask, 0.25);
        var (loss, tokens) = (0.0, 0);
        foreach (var sample in SamplesOf(step, slice))
        {
            Seen.Add((step, slice, sample));
            var phrase = PhraseOf(sample);
            for (var i = 0; i + 1 < phrase.Length; i++) loss += Learn(phrase[i], phrase[i + 1], _mask.AsSpan(tokens++ * Width, Width));
        }
        if (Poison.TryGetValue((step, slice), out var poison)) _gradients[5] = poison;
        return new SliceLoss(loss, tokens);
    }

    public void SaveModel(string folder)
    {
        using var file = new BinaryWriter(File.Create(Path.Combine(folder, "weights.bin")));
        foreach (var weight in _weights) file.Write(weight);
    }

    public void Dispose()
    {
    }

    private double Learn(int symbol, int next, ReadOnlySpan<float> mask)
    {
        Span<float> hidden = stackalloc float[Width];
        Span<float> slopes = stackalloc float[Width];
        Span<double> scores = stackalloc double[Symbols];
        slopes.Clear();
        for (var w = 0; w < Width; w++)
        {
            var value = _weights[TableAt + symbol * Width + w] + _weights[BiasAt + w] + _weights[OffsetAt + w];
            _gradients[MeanAt + w] += value; // the slice's mean × its tokens
            hidden[w] = value * mask[w];
        }
        var total = 0.0;
        for (var s = 0; s < Symbols; s++)
        {
            var score = 0.0;
            for (var w = 0; w < Width; w++) score += hidden[w] * _weights[TableAt + s * Width + w];
            total += scores[s] = Math.Exp(score);
        }
        for (var s = 0; s < Symbols; s++)
        {
            var slope = (float)(scores[s] / total - (s == next ? 1 : 0));
            for (var w = 0; w < Width; w++)
            {
                _gradients[TableAt + s * Width + w] += slope * hidden[w];
                slopes[w] += slope * _weights[TableAt + s * Width + w];
            }
        }
        for (var w = 0; w < Width; w++)
        {
            _gradients[TableAt + symbol * Width + w] += slopes[w] * mask[w]; // the same table: both gradients meet in one place
            _gradients[BiasAt + w] += slopes[w] * mask[w];
        }
        return -Math.Log(scores[next] / total);
    }

    private static byte[] PhraseOf(long sample)
    {
        var random = new Random((int)sample);
        var phrase = new byte[random.Next(3, 13)];
        for (var i = 0; i < phrase.Length; i++) phrase[i] = (byte)(i == 0 ? random.Next(Symbols) : (phrase[i - 1] * 3 + 1 + random.Next(2)) % Symbols);
        return phrase;
    }
}
