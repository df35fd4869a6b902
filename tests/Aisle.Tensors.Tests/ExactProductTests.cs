using CsCheck;

namespace Aisle.Tensors.Tests;

public sealed unsafe class ExactProductTests
{
    [Fact]
    public void Each_element_is_a_chain_of_fused_multiply_adds_whatever_the_shape_and_layout() =>
        Gen.Select(Gen.Int[1, 70], Gen.Int[1, 70], Gen.OneOf(Gen.Int[1, 40], Gen.Int[250, 600]), Gen.Bool, Gen.Bool, Gen.Bool).Sample((rows, columns, depth, leftTurned, rightTurned, add) =>
        {
            var random = new Random(rows * 10_000 + columns * 100 + depth);
            float[] left = Numbers(random, rows * depth), right = Numbers(random, depth * columns), result = Numbers(random, rows * columns);
            var expected = (float[])result.Clone();
            for (var i = 0; i < rows; i++)
            {
                for (var j = 0; j < columns; j++)
                {
                    var sum = add ? expected[i * columns + j] : 0;
                    for (var p = 0; p < depth; p++)
                        sum = MathF.FusedMultiplyAdd(left[leftTurned ? p * rows + i : i * depth + p], right[rightTurned ? j * depth + p : p * columns + j], sum);
                    expected[i * columns + j] = sum;
                }
            }

            using var product = new ExactProduct();
            fixed (float* a = left, b = right, c = result)
            {
                product.Multiply(rows, columns, depth, leftTurned ? new Matrix(a, rows).Transposed : new Matrix(a, depth),
                    rightTurned ? new Matrix(b, depth).Transposed : new Matrix(b, columns), c, columns, add);
            }

            Assert.Equal(expected, result);
        }, iter: 60);

    [Theory]
    [InlineData(5, 3)]
    [InlineData(33, 20)]
    [InlineData(300, 32)]
    public void A_triangles_half_may_be_left_out(int size, int wide)
    {
        var random = new Random(size);
        float[] square = Numbers(random, size * size), other = Numbers(random, size * wide), turned = new float[size * size];
        for (var i = 0; i < size; i++)
        {
            square.AsSpan(i * size + i + 1, size - i - 1).Clear();
            for (var j = 0; j < size; j++) turned[j * size + i] = square[i * size + j];
        }

        using var product = new ExactProduct();
        fixed (float* lower = square, upper = turned, b = other)
        {
            foreach (var (left, triangle) in new[] { ((nint)lower, Triangle.LowerLeft), ((nint)upper, Triangle.UpperLeft) })
            {
                float[] whole = new float[size * wide], part = new float[size * wide], scores = new float[size * size], half = new float[size * size];
                fixed (float* w = whole, p = part, s = scores, h = half)
                {
                    product.Multiply(size, wide, size, new Matrix((float*)left, size), new Matrix(b, wide), w, wide);
                    product.Multiply(size, wide, size, new Matrix((float*)left, size), new Matrix(b, wide), p, wide, triangle: triangle);
                    product.Multiply(size, size, wide, new Matrix(b, wide), new Matrix(b, wide).Transposed, s, size);
                    product.Multiply(size, size, wide, new Matrix(b, wide), new Matrix(b, wide).Transposed, h, size, triangle: Triangle.LowerResult);
                }

                Assert.Equal(whole, part);
                for (var i = 0; i < size; i++) Assert.True(scores.AsSpan(i * size, i + 1).SequenceEqual(half.AsSpan(i * size, i + 1)));
            }
        }
    }

    private static float[] Numbers(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() - 0.5f)];
}
