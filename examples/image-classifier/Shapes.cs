using Aisle.Training.Data;
using Aisle.Training.Programs;
using TorchSharp;
using static TorchSharp.torch;

namespace Aisle.Examples.ImageClassifier;

/// <summary>Discs, squares, crosses and frames in noise. Image i is a pure function of i, so there is nothing to store or to download.</summary>
internal static class Shapes
{
    private const int Side = 16;
    private const ulong Seed = 2026;

    /// <returns>Images [B, 1, 16, 16], float32, and labels [B], 0 to 3.</returns>
    public static (Tensor Images, Tensor Labels) Draw(IReadOnlyList<long> numbers)
    {
        var pixels = new float[numbers.Count * Side * Side];
        var labels = new long[numbers.Count];
        for (var i = 0; i < numbers.Count; i++) labels[i] = Draw(numbers[i], pixels.AsSpan(i * Side * Side, Side * Side));
        return (SliceTensor.Of(pixels, numbers.Count, 1, Side, Side), tensor(labels));
    }

    private static int Draw(long number, Span<float> pixels)
    {
        var chance = new Chance(Seed, (ulong)number);
        var kind = chance.Below(4);
        var (size, x0, y0) = (3 + chance.Below(3), 5 + chance.Below(6), 5 + chance.Below(6));
        var brightness = 0.7 + 0.6 * chance.Unit();
        for (var y = 0; y < Side; y++)
        {
            for (var x = 0; x < Side; x++)
            {
                var (dx, dy) = (Math.Abs(x - x0), Math.Abs(y - y0));
                var inside = kind switch
                {
                    0 => dx * dx + dy * dy <= size * size,
                    1 => dx < size && dy < size,
                    2 => (dx < 1 && dy <= size) || (dy < 1 && dx <= size),
                    _ => Math.Max(dx, dy) == size,
                };
                pixels[y * Side + x] = (float)((inside ? brightness : 0) + 0.5 * chance.Normal());
            }
        }
        return kind;
    }
}
