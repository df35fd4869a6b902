namespace Aisle.Tensors.Tests;

public sealed class RotaryTableTests
{
    [Theory]
    [InlineData(16, 10_000)]
    [InlineData(48, 10_000)]
    [InlineData(128, 500_000)]
    public void Angles_are_those_of_the_formula_to_float32(int pairs, double @base)
    {
        const int Positions = 4096;
        var table = new RotaryTable(Positions, pairs, @base);
        for (var t = 0; t < Positions; t += 17)
        {
            for (var i = 0; i < pairs; i++)
            {
                var angle = t * Math.Pow(@base, -(double)i / pairs);
                Assert.Equal(Math.Cos(angle), table.Cosines[t * pairs + i], 1e-7);
                Assert.Equal(Math.Sin(angle), table.Sines[t * pairs + i], 1e-7);
            }
        }
    }
}
