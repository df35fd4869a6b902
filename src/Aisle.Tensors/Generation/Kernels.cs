using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Aisle.Tensors;

/// <summary>The few loops a decoder spends its time in, over float32. Sums run in vector lanes, so results differ from libtorch's in the last bits.</summary>
internal static unsafe class Kernels
{
    /// <summary>outputs[j, r] = Σ_c weights[r, c] · inputs[j, c].</summary>
    /// <param name="weights">[rows, columns].</param>
    /// <param name="inputs">[count, columns].</param>
    /// <param name="outputs">[count, rows].</param>
    public static void Multiply(ReadOnlySpan<float> weights, int rows, int columns, ReadOnlySpan<float> inputs, int count, Span<float> outputs)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(weights.Length, (long)rows * columns, nameof(weights));
        ArgumentOutOfRangeException.ThrowIfLessThan(inputs.Length, (long)count * columns, nameof(inputs));
        ArgumentOutOfRangeException.ThrowIfLessThan(outputs.Length, (long)count * rows, nameof(outputs));
        fixed (float* w = weights, x = inputs, y = outputs)
        {
            var row = 0;
            // Four rows at a time: they stay in the first cache while every input passes over them.
            for (; row + 4 <= rows; row += 4)
            {
                for (var j = 0; j < count; j++)
                    Dot4(w + (long)row * columns, columns, x + (long)j * columns).Store(y + (long)j * rows + row);
            }

            for (; row < rows; row++)
            {
                for (var j = 0; j < count; j++) y[(long)j * rows + row] = Dot(w + (long)row * columns, x + (long)j * columns, columns);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static Vector128<float> Dot4(float* w, int columns, float* x)
    {
        float* w1 = w + columns, w2 = w1 + columns, w3 = w2 + columns;
        // Two sums a row hide the latency of the multiply-add.
        Vector256<float> a0 = default, a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default;
        var c = 0;
        for (; c + 16 <= columns; c += 16)
        {
            var left = Vector256.Load(x + c);
            var right = Vector256.Load(x + c + 8);
            a0 = Vector256.MultiplyAddEstimate(Vector256.Load(w + c), left, a0);
            a1 = Vector256.MultiplyAddEstimate(Vector256.Load(w1 + c), left, a1);
            a2 = Vector256.MultiplyAddEstimate(Vector256.Load(w2 + c), left, a2);
            a3 = Vector256.MultiplyAddEstimate(Vector256.Load(w3 + c), left, a3);
            b0 = Vector256.MultiplyAddEstimate(Vector256.Load(w + c + 8), right, b0);
            b1 = Vector256.MultiplyAddEstimate(Vector256.Load(w1 + c + 8), right, b1);
            b2 = Vector256.MultiplyAddEstimate(Vector256.Load(w2 + c + 8), right, b2);
            b3 = Vector256.MultiplyAddEstimate(Vector256.Load(w3 + c + 8), right, b3);
        }

        var sums = Sum4(a0 + b0, a1 + b1, a2 + b2, a3 + b3);
        for (; c < columns; c++) sums += Vector128.Create(w[c], w1[c], w2[c], w3[c]) * x[c];
        return sums;
    }

    private static Vector128<float> Sum4(Vector256<float> a, Vector256<float> b, Vector256<float> c, Vector256<float> d)
    {
        if (!Avx.IsSupported) return Vector128.Create(Vector256.Sum(a), Vector256.Sum(b), Vector256.Sum(c), Vector256.Sum(d));
        var all = Avx.HorizontalAdd(Avx.HorizontalAdd(a, b), Avx.HorizontalAdd(c, d));
        return all.GetLower() + all.GetUpper();
    }

    private static float Dot(float* a, float* b, int length)
    {
        Vector256<float> sums = default;
        var i = 0;
        for (; i + 8 <= length; i += 8) sums = Vector256.MultiplyAddEstimate(Vector256.Load(a + i), Vector256.Load(b + i), sums);
        var sum = Vector256.Sum(sums);
        for (; i < length; i++) sum += a[i] * b[i];
        return sum;
    }

    /// <summary>RMSNorm of each row: x / √(mean(x²) + ε) · weight.</summary>
    public static void Normalise(ReadOnlySpan<float> inputs, ReadOnlySpan<float> weight, float epsilon, Span<float> outputs)
    {
        var width = weight.Length;
        for (var at = 0; at < inputs.Length; at += width)
        {
            var row = inputs.Slice(at, width);
            var scale = 1 / MathF.Sqrt(Dot(row, row) / width + epsilon);
            for (var i = 0; i < width; i++) outputs[at + i] = row[i] * scale * weight[i];
        }
    }

    /// <summary>LayerNorm of each row: (x − mean) / √(mean((x − mean)²) + ε) · weight + bias.</summary>
    public static void NormaliseLayer(ReadOnlySpan<float> inputs, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, float epsilon, Span<float> outputs)
    {
        var width = weight.Length;
        for (var at = 0; at < inputs.Length; at += width)
        {
            ReadOnlySpan<float> row = inputs.Slice(at, width);
            float mean = 0, squares = 0;
            foreach (var value in row) mean += value;
            mean /= width;
            foreach (var value in row) squares += (value - mean) * (value - mean);
            var scale = 1 / MathF.Sqrt(squares / width + epsilon);
            for (var i = 0; i < width; i++) outputs[at + i] = (row[i] - mean) * scale * weight[i] + bias[i];
        }
    }

    /// <summary>GELU by its tanh form.</summary>
    public static void Gelu(ReadOnlySpan<float> inputs, Span<float> outputs)
    {
        for (var i = 0; i < inputs.Length; i++)
        {
            var x = inputs[i];
            outputs[i] = x / (1 + MathF.Exp(-1.5957691216f * (x + 0.044715f * x * x * x)));
        }
    }

    public static float Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(a.Length, b.Length);
        fixed (float* x = a, y = b) return Dot(x, y, a.Length);
    }

    /// <summary>target += source · factor.</summary>
    public static void AddScaled(Span<float> target, ReadOnlySpan<float> source, float factor)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(source.Length, target.Length);
        fixed (float* t = target, s = source)
        {
            var i = 0;
            var factors = Vector256.Create(factor);
            for (; i + 8 <= target.Length; i += 8) Vector256.MultiplyAddEstimate(Vector256.Load(s + i), factors, Vector256.Load(t + i)).Store(t + i);
            for (; i < target.Length; i++) t[i] += s[i] * factor;
        }
    }

    /// <summary>Turns scores into weights that add up to 1, in place.</summary>
    public static void Softmax(Span<float> scores)
    {
        var most = float.NegativeInfinity;
        foreach (var score in scores) most = MathF.Max(most, score);
        var sum = 0f;
        fixed (float* s = scores)
        {
            var i = 0;
            Vector256<float> sums = default;
            for (; i + 8 <= scores.Length; i += 8)
            {
                var power = Vector256.Exp(Vector256.Load(s + i) - Vector256.Create(most));
                power.Store(s + i);
                sums += power;
            }

            sum = Vector256.Sum(sums);
            for (; i < scores.Length; i++) sum += s[i] = MathF.Exp(s[i] - most);
            var scale = 1 / sum;
            for (i = 0; i < scores.Length; i++) s[i] *= scale;
        }
    }

    /// <summary>SwiGLU: gate · sigmoid(gate) · up for each row of [gate | up].</summary>
    public static void Gate(ReadOnlySpan<float> gateUp, int channels, Span<float> outputs)
    {
        fixed (float* both = gateUp, y = outputs)
        {
            for (var row = 0; (row + 1) * channels <= outputs.Length; row++)
            {
                float* gate = both + 2 * row * channels, up = gate + channels, target = y + row * channels;
                var i = 0;
                for (; i + 8 <= channels; i += 8)
                {
                    var g = Vector256.Load(gate + i);
                    (g / (Vector256<float>.One + Vector256.Exp(-g)) * Vector256.Load(up + i)).Store(target + i);
                }

                for (; i < channels; i++) target[i] = gate[i] / (1 + MathF.Exp(-gate[i])) * up[i];
            }
        }
    }
}
