namespace Aisle.Training.Numerics;

/// <summary>The loss of a yes-or-no score, and its slope, from + − × ÷ alone: the same bits on every machine, where a C library's exponential differs.</summary>
public static class LogisticLoss
{
    /// <param name="score">The log of the odds that the answer is yes.</param>
    /// <returns>−log of the probability given to the answer, and its derivative by the score. Within 1e-15 relative.</returns>
    public static (double Loss, double Slope) Of(double score, bool answer)
    {
        var against = answer ? -score : score; // the loss is log(1 + e^against)
        var power = Exp(-Math.Abs(against));
        var probability = against > 0 ? 1 / (1 + power) : power / (1 + power); // of being wrong
        return (Math.Max(0, against) + LogOfOnePlus(power), answer ? -probability : probability);
    }

    /// <summary>e^x for x at most 0: a power of two times a short series.</summary>
    internal static double Exp(double x)
    {
        if (double.IsNaN(x)) return x;
        if (x < -700) return 0;
        var whole = Math.Round(x * 1.4426950408889634);
        var rest = x - whole * 0.6931471803691238 - whole * 1.9082149292705877e-10; // ln 2 in two parts, so that the difference keeps its digits
        var sum = 1.0;
        for (var n = 16; n >= 1; n--) sum = 1 + rest * sum / n;
        return sum * FixedPoint.PowerOfTwo((int)whole);
    }

    /// <summary>log(1 + y) for y from 0 to 1: the series of the inverse hyperbolic tangent.</summary>
    internal static double LogOfOnePlus(double y)
    {
        var z = y / (2 + y);
        var square = z * z;
        var sum = 0.0;
        for (var n = 35; n >= 1; n -= 2) sum = sum * square + 1.0 / n;
        return 2 * z * sum;
    }
}
