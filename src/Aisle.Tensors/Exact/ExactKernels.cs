using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Aisle.Tensors;

/// <summary>
/// Everything of a language model that is not a matrix product, forward and backward, with the same bits on every processor: only + − × ÷ √ and fused
/// multiply-add, with sums over sixteen lanes that are folded in one order whatever the hardware's width.
/// </summary>
internal static unsafe class ExactKernels
{
    private const int Lanes = 16;

    /// <summary>y = x · scale · weight with scale = 1 / √(mean(x²) + ε) for each row; the scales are kept for the way back.</summary>
    public static void Normalise(float* x, float* weight, float epsilon, int rows, int width, float* y, float* scales)
    {
        for (var row = 0; row < rows; row++, x += width, y += width)
        {
            var squares = Vector512<float>.Zero;
            for (var i = 0; i < width; i += Lanes)
            {
                var v = Load(x, i, width);
                squares = Vector512.FusedMultiplyAdd(v, v, squares);
            }

            var scale = scales[row] = 1 / MathF.Sqrt(Fold(squares) / width + epsilon);
            for (var i = 0; i < width; i += Lanes) Store(Load(x, i, width) * Vector512.Create(scale) * Load(weight, i, width), y, i, width);
        }
    }

    /// <summary>Adds to <paramref name="dx"/> and <paramref name="dWeight"/> (null for a frozen one) what flows back through <see cref="Normalise"/>.</summary>
    public static void NormaliseBack(float* dy, float* x, float* weight, float* scales, int rows, int width, float* dx, float* dWeight)
    {
        for (var row = 0; row < rows; row++, dy += width, x += width, dx += width)
        {
            var products = Vector512<float>.Zero;
            for (var i = 0; i < width; i += Lanes) products = Vector512.FusedMultiplyAdd(Load(dy, i, width) * Load(weight, i, width), Load(x, i, width), products);
            var scale = Vector512.Create(scales[row]);
            var pull = Vector512.Create(-(scales[row] * scales[row] * scales[row] * (Fold(products) / width)));
            for (var i = 0; i < width; i += Lanes)
            {
                Vector512<float> input = Load(x, i, width), back = Load(dy, i, width);
                if (dWeight is not null) Store(Vector512.FusedMultiplyAdd(back * scale, input, Load(dWeight, i, width)), dWeight, i, width);
                Store(Load(dx, i, width) + Vector512.FusedMultiplyAdd(input, pull, back * Load(weight, i, width) * scale), dx, i, width);
            }
        }
    }

    /// <summary>y = (x − mean) · scale · weight + bias with scale = 1 / √(mean((x − mean)²) + ε) for each row; scales and means are kept for the way back.</summary>
    public static void NormaliseLayer(float* x, float* weight, float* bias, float epsilon, int rows, int width, float* y, float* scales, float* means)
    {
        for (var row = 0; row < rows; row++, x += width, y += width)
        {
            var sum = Vector512<float>.Zero;
            for (var i = 0; i < width; i += Lanes) sum += Load(x, i, width);
            var mean = Vector512.Create(means[row] = Fold(sum) / width);
            var squares = Vector512<float>.Zero;
            for (var i = 0; i < width; i += Lanes)
            {
                var v = Present(Load(x, i, width) - mean, i, width);
                squares = Vector512.FusedMultiplyAdd(v, v, squares);
            }

            var scale = Vector512.Create(scales[row] = 1 / MathF.Sqrt(Fold(squares) / width + epsilon));
            for (var i = 0; i < width; i += Lanes)
                Store(Vector512.FusedMultiplyAdd((Load(x, i, width) - mean) * scale, Load(weight, i, width), Load(bias, i, width)), y, i, width);
        }
    }

    /// <summary>Adds to <paramref name="dx"/>, <paramref name="dWeight"/> and <paramref name="dBias"/> (both null for frozen ones) what flows back through <see cref="NormaliseLayer"/>.</summary>
    public static void NormaliseLayerBack(float* dy, float* x, float* weight, float* scales, float* means, int rows, int width, float* dx, float* dWeight, float* dBias)
    {
        for (var row = 0; row < rows; row++, dy += width, x += width, dx += width)
        {
            Vector512<float> mean = Vector512.Create(means[row]), scale = Vector512.Create(scales[row]);
            Vector512<float> sum = default, products = default;
            for (var i = 0; i < width; i += Lanes)
            {
                var back = Load(dy, i, width) * Load(weight, i, width);
                sum += back;
                products = Vector512.FusedMultiplyAdd(back, (Load(x, i, width) - mean) * scale, products);
            }

            Vector512<float> meanBack = Vector512.Create(Fold(sum) / width), pull = Vector512.Create(-(Fold(products) / width));
            for (var i = 0; i < width; i += Lanes)
            {
                Vector512<float> back = Load(dy, i, width), centred = (Load(x, i, width) - mean) * scale;
                if (dWeight is not null)
                {
                    Store(Vector512.FusedMultiplyAdd(back, centred, Load(dWeight, i, width)), dWeight, i, width);
                    Store(Load(dBias, i, width) + back, dBias, i, width);
                }

                var inner = Vector512.FusedMultiplyAdd(centred, pull, back * Load(weight, i, width) - meanBack);
                Store(Vector512.FusedMultiplyAdd(inner, scale, Load(dx, i, width)), dx, i, width);
            }
        }
    }

    /// <summary>Turns each pair (i, i + pairs) of a head by its angle, or back.</summary>
    public static void Rotate(float* head, float* cosines, float* sines, int pairs, bool back)
    {
        for (var i = 0; i < pairs; i += Lanes)
        {
            Vector512<float> first = Load(head, i, pairs), second = Load(head + pairs, i, pairs), cosine = Load(cosines, i, pairs), sine = Load(sines, i, pairs);
            if (back) sine = -sine;
            Store(Vector512.FusedMultiplyAdd(first, cosine, -(second * sine)), head, i, pairs);
            Store(Vector512.FusedMultiplyAdd(second, cosine, first * sine), head + pairs, i, pairs);
        }
    }

    /// <summary>Turns row i's scores from <paramref name="starts"/>[i] through i, times <paramref name="scale"/>, into weights that add up to 1; the rest becomes zero.</summary>
    public static void CausalSoftmax(float* scores, int length, ReadOnlySpan<int> starts, float scale)
    {
        for (var row = 0; row < length; row++, scores += length)
        {
            var first = starts[row];
            new Span<float>(scores, first).Clear();
            scores += first;
            var count = row + 1 - first;
            var most = Max(scores, count) * scale;
            var sum = Vector512<float>.Zero;
            for (var i = 0; i < count; i += Lanes)
            {
                var power = Exp(Vector512.FusedMultiplyAdd(Load(scores, i, count), Vector512.Create(scale), Vector512.Create(-most)));
                Store(power, scores, i, count);
                sum += Load(scores, i, count);   // read back, so that lanes beyond the row count nothing
            }

            var share = Vector512.Create(1 / Fold(sum));
            for (var i = 0; i < count; i += Lanes) Store(Load(scores, i, count) * share, scores, i, count);
            new Span<float>(scores + count, length - first - count).Clear();
            scores -= first;
        }
    }

    /// <summary>Replaces what flows back to the weights of <see cref="CausalSoftmax"/> by what flows back to the scores.</summary>
    public static void CausalSoftmaxBack(float* weights, float* back, int length, ReadOnlySpan<int> starts, float scale)
    {
        for (var row = 0; row < length; row++, weights += length, back += length)
        {
            var first = starts[row];
            new Span<float>(back, first).Clear();
            weights += first;
            back += first;
            var count = row + 1 - first;
            var sum = Vector512<float>.Zero;
            for (var i = 0; i < count; i += Lanes) sum = Vector512.FusedMultiplyAdd(Load(weights, i, count), Load(back, i, count), sum);
            var mean = Vector512.Create(Fold(sum));
            for (var i = 0; i < count; i += Lanes) Store((Load(back, i, count) - mean) * Load(weights, i, count) * Vector512.Create(scale), back, i, count);
            new Span<float>(back + count, length - first - count).Clear();
            weights -= first;
            back -= first;
        }
    }

    /// <summary>SwiGLU: gate · sigmoid(gate) · up for each row of [gate | up].</summary>
    public static void Gate(float* gateUp, int rows, int channels, float* y)
    {
        for (var row = 0; row < rows; row++, gateUp += 2 * channels, y += channels)
        {
            for (var i = 0; i < channels; i += Lanes)
            {
                var gate = Load(gateUp, i, channels);
                Store(gate * Sigmoid(gate) * Load(gateUp + channels, i, channels), y, i, channels);
            }
        }
    }

    /// <summary>What flows back through <see cref="Gate"/>, as [gate | up].</summary>
    public static void GateBack(float* gateUp, float* dy, int rows, int channels, float* dGateUp)
    {
        for (var row = 0; row < rows; row++, gateUp += 2 * channels, dGateUp += 2 * channels, dy += channels)
        {
            for (var i = 0; i < channels; i += Lanes)
            {
                Vector512<float> gate = Load(gateUp, i, channels), up = Load(gateUp + channels, i, channels), back = Load(dy, i, channels);
                var sigmoid = Sigmoid(gate);
                var silu = gate * sigmoid;
                // d silu = σ + gate·σ·(1 − σ)
                Store(back * up * Vector512.FusedMultiplyAdd(silu, Vector512<float>.One - sigmoid, sigmoid), dGateUp, i, channels);
                Store(back * silu, dGateUp + channels, i, channels);
            }
        }
    }

    /// <summary>GELU by its tanh form: x / 2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))), which is x · sigmoid of twice that tanh's argument.</summary>
    /// <remarks>Source: Hendrycks and Gimpel 2016, "Gaussian error linear units", section 2.</remarks>
    public static void Gelu(float* x, long count, float* y)
    {
        for (; count > 0; count -= Lanes, x += Lanes, y += Lanes)
        {
            var n = (int)Math.Min(count, Lanes);
            var v = Load(x, 0, n);
            Store(v * Sigmoid(GeluArgument(v)), y, 0, n);
        }
    }

    /// <summary>What flows back through <see cref="Gelu"/>.</summary>
    public static void GeluBack(float* x, float* dy, long count, float* dx)
    {
        for (; count > 0; count -= Lanes, x += Lanes, dy += Lanes, dx += Lanes)
        {
            var n = (int)Math.Min(count, Lanes);
            var v = Load(x, 0, n);
            var sigmoid = Sigmoid(GeluArgument(v));
            var slope = Vector512.FusedMultiplyAdd(v * v, Vector512.Create(3 * GeluCubic), Vector512.Create(GeluLinear));
            Store(Load(dy, 0, n) * Vector512.FusedMultiplyAdd(v * sigmoid * (Vector512<float>.One - sigmoid), slope, sigmoid), dx, 0, n);
        }
    }

    private const float GeluLinear = 1.5957691216f;              // 2 · √(2/π)
    private const float GeluCubic = 1.5957691216f * 0.044715f;

    private static Vector512<float> GeluArgument(Vector512<float> x) => x * Vector512.FusedMultiplyAdd(x * x, Vector512.Create(GeluCubic), Vector512.Create(GeluLinear));

    /// <summary>The cross-entropy of one row of scores, in nats; the scores become what flows back to them.</summary>
    public static double CrossEntropy(float* scores, int count, int target)
    {
        var most = Max(scores, count);
        double chosen = scores[target] - most;
        var sum = Vector512<float>.Zero;
        for (var i = 0; i < count; i += Lanes)
        {
            Store(Exp(Load(scores, i, count) - Vector512.Create(most)), scores, i, count);
            sum += Load(scores, i, count);
        }

        var total = Fold(sum);
        var share = Vector512.Create(1 / total);
        for (var i = 0; i < count; i += Lanes) Store(Load(scores, i, count) * share, scores, i, count);
        scores[target] -= 1;
        return Log(total) - chosen;
    }

    public static void Add(float* x, int length, float* target)
    {
        for (var i = 0; i < length; i += Lanes) Store(Load(target, i, length) + Load(x, i, length), target, i, length);
    }

    public static void Scale(float* x, long length, float factor)
    {
        for (; length > 0; length -= Lanes, x += Lanes)
        {
            var n = (int)Math.Min(length, Lanes);
            Store(Load(x, 0, n) * Vector512.Create(factor), x, 0, n);
        }
    }

    /// <summary>Each element becomes the nearest bfloat16.</summary>
    public static void RoundToBFloat16(float* x, int length, float* y)
    {
        for (var i = 0; i < length; i += Lanes) Store(BFloat16.Round(Load(x, i, length)), y, i, length);
    }

    private static float Max(float* x, int count)
    {
        var most = Vector512.Create(x[0]);
        var i = 0;
        for (; i + Lanes <= count; i += Lanes) most = Vector512.Max(most, Vector512.Load(x + i));
        var max = x[0];
        for (var lane = 0; lane < Lanes; lane++) max = MathF.Max(max, most[lane]);
        for (; i < count; i++) max = MathF.Max(max, x[i]);
        return max;
    }

    private static Vector512<float> Sigmoid(Vector512<float> x) => Vector512<float>.One / (Vector512<float>.One + Exp(-x));

    // exp(x) = 2^n · exp(r) with n the nearest whole number to x / ln 2 and |r| ≤ ln 2 / 2; exp(r) by its Taylor series to r^7, below float32's rounding.
    // Below −87 it stays at exp(−87) ≈ 1.6e-38, above 88 at exp(88) ≈ 1.7e38.
    internal static Vector512<float> Exp(Vector512<float> x)
    {
        const float Ln2High = 0.693359375f, Ln2Low = -2.12194440e-4f;   // their sum is ln 2; n times the first is exact
        const float Magic = 12582912f;                                   // 1.5 · 2^23: adding it rounds to whole numbers
        x = Vector512.Min(Vector512.Max(x, Vector512.Create(-87f)), Vector512.Create(88f));
        var shifted = Vector512.FusedMultiplyAdd(x, Vector512.Create(1.44269504f), Vector512.Create(Magic));
        var n = shifted - Vector512.Create(Magic);
        var r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-Ln2High), x);
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-Ln2Low), r);
        var y = Vector512.Create(1f / 5040);
        y = Vector512.FusedMultiplyAdd(y, r, Vector512.Create(1f / 720));
        y = Vector512.FusedMultiplyAdd(y, r, Vector512.Create(1f / 120));
        y = Vector512.FusedMultiplyAdd(y, r, Vector512.Create(1f / 24));
        y = Vector512.FusedMultiplyAdd(y, r, Vector512.Create(1f / 6));
        y = Vector512.FusedMultiplyAdd(y, r, Vector512.Create(0.5f));
        y = Vector512.FusedMultiplyAdd(y, r, Vector512<float>.One);
        y = Vector512.FusedMultiplyAdd(y, r, Vector512<float>.One);
        var exponent = (shifted.AsInt32() - Vector512.Create(Magic).AsInt32() + Vector512.Create(127)) << 23;
        return y * exponent.AsSingle();
    }

    /// <summary>Natural logarithm of a positive number, to about 1e-16, by exact operations only.</summary>
    internal static double Log(double x)
    {
        var exponent = Math.ILogB(x);
        var mantissa = Math.ScaleB(x, -exponent);   // [1, 2)
        if (mantissa > 1.4142135623730951)
        {
            mantissa /= 2;
            exponent++;
        }

        // ln m = 2 artanh((m − 1) / (m + 1)), whose argument is below 0.172: 11 terms are enough.
        var t = (mantissa - 1) / (mantissa + 1);
        double square = t * t, sum = 0;
        for (var k = 21; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
        return exponent * 0.6931471805599453 + 2 * t * sum;
    }

    // Lanes beyond the row become zero.
    private static Vector512<float> Present(Vector512<float> value, int i, int count) =>
        count - i >= Lanes ? value : Vector512.ConditionalSelect(Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(count - i)).AsSingle(), value, Vector512<float>.Zero);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Load(float* from, int i, int count) => count - i >= Lanes ? Vector512.Load(from + i) : LoadPart(from + i, count - i);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector512<float> value, float* to, int i, int count)
    {
        if (count - i >= Lanes) value.Store(to + i);
        else StorePart(value, to + i, count - i);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Vector512<float> LoadPart(float* from, int count)
    {
        var lanes = stackalloc float[Lanes];
        for (var i = 0; i < Lanes; i++) lanes[i] = i < count ? from[i] : 0;
        return Vector512.Load(lanes);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void StorePart(Vector512<float> value, float* to, int count)
    {
        for (var i = 0; i < count; i++) to[i] = value[i];
    }

    // Halves onto halves, always: the hardware's own sum may choose another order.
    private static float Fold(Vector512<float> lanes)
    {
        var eight = lanes.GetLower() + lanes.GetUpper();
        var four = eight.GetLower() + eight.GetUpper();
        return (four[0] + four[2]) + (four[1] + four[3]);
    }
}
