namespace Aisle.Tensors;

/// <summary>
/// Cosines and sines of rotary positions: for position t and pair i, of the angle t · base^(−i / pairs). Made from + − × ÷ alone, because the C library's
/// pow, sin and cos differ between versions and processors; so the table has the same bits everywhere. Accurate to float32.
/// </summary>
/// <remarks>Source: Su et al. 2021, "RoFormer", equation 15; pairs are (i, i + pairs) as in Hugging Face's LLaMA.</remarks>
internal sealed class RotaryTable
{
    public RotaryTable(int positions, int pairs, double @base)
    {
        Pairs = pairs;
        Cosines = new float[positions * pairs];
        Sines = new float[positions * pairs];
        var root = Root(@base, pairs);
        var frequency = 1.0;
        for (var i = 0; i < pairs; i++)
        {
            var (stepCosine, stepSine) = CosineAndSine(frequency);
            double cosine = 1, sine = 0;
            for (var t = 0; t < positions; t++)
            {
                Cosines[t * pairs + i] = (float)cosine;
                Sines[t * pairs + i] = (float)sine;
                // One more turn by the step; in double the drift after 10^5 turns is about 10^-11.
                (cosine, sine) = (cosine * stepCosine - sine * stepSine, sine * stepCosine + cosine * stepSine);
            }

            frequency /= root;
        }
    }

    public int Pairs { get; }

    /// <summary>[positions, pairs].</summary>
    public float[] Cosines { get; }

    /// <summary>[positions, pairs].</summary>
    public float[] Sines { get; }

    /// <summary>The n-th root of a number above 1, by Newton's method from above, where it falls until it stands.</summary>
    internal static double Root(double number, int n)
    {
        if (n == 1) return number;
        var root = 1 + (number - 1) / n;   // not below the root: Bernoulli's inequality
        while (true)
        {
            var power = 1.0;
            for (var i = 1; i < n; i++) power *= root;
            var next = ((n - 1) * root + number / power) / n;
            if (!(next < root)) return root;
            root = next;
        }
    }

    // Taylor series at angles in [0, 1]: after 12 terms each what is left is below 10^-24.
    private static (double Cosine, double Sine) CosineAndSine(double angle)
    {
        double cosine = 0, sine = 0, term = 1;
        for (var k = 0; k < 24; k++)
        {
            var signed = (k & 2) == 0 ? term : -term;
            if ((k & 1) == 0) cosine += signed;
            else sine += signed;
            term = term * angle / (k + 1);
        }

        return (cosine, sine);
    }
}
