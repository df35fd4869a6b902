namespace Aisle.Serving;

/// <summary>Chooses the next token from the model's scores. Not thread-safe; one for each continuation.</summary>
internal sealed class Sampler(GenerationOptions options)
{
    private ulong _state = options.Seed;
    private int[] _tokens = [];
    private double[] _weights = [];

    /// <exception cref="AisleException">AISLE-6003: the scores are not numbers.</exception>
    public int Pick(ReadOnlySpan<float> scores)
    {
        var best = 0;
        for (var i = 1; i < scores.Length; i++)
        {
            if (scores[i] > scores[best]) best = i;   // of equals the first
        }

        if (!float.IsFinite(scores[best]))
            throw new AisleException("AISLE-6003", $"The model's best score is {scores[best]}.", "Its weights are damaged or its training diverged: deploy an earlier version.");
        return options.Temperature == 0 || options.TopK == 1 ? best : Draw(scores, scores[best]);
    }

    private int Draw(ReadOnlySpan<float> scores, float best)
    {
        if (_tokens.Length != scores.Length) (_tokens, _weights) = (new int[scores.Length], new double[scores.Length]);
        for (var i = 0; i < scores.Length; i++) (_tokens[i], _weights[i]) = (i, Math.Exp((scores[i] - best) / options.Temperature));
        var count = scores.Length;
        if (options.TopK > 0 || options.TopP < 1)
        {
            Array.Sort(_weights, _tokens);
            Array.Reverse(_weights);
            Array.Reverse(_tokens);
            if (options.TopK > 0) count = Math.Min(count, options.TopK);
        }

        var total = Sum(count);
        if (options.TopP < 1)
        {
            double reached = 0;
            var kept = 0;
            while (kept < count && reached < options.TopP * total) reached += _weights[kept++];
            (count, total) = (kept, reached);
        }

        var mark = NextUnit() * total;
        for (var i = 0; i < count - 1; i++)
        {
            if ((mark -= _weights[i]) < 0) return _tokens[i];
        }

        return _tokens[count - 1];
    }

    private double Sum(int count)
    {
        double sum = 0;
        for (var i = 0; i < count; i++) sum += _weights[i];
        return sum;
    }

    // SplitMix64 (Steele, Lea and Flood 2014): 53 bits in [0, 1).
    private double NextUnit()
    {
        var value = _state += 0x9E3779B97F4A7C15;
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return ((value ^ (value >> 31)) >> 11) * (1.0 / (1UL << 53));
    }
}
