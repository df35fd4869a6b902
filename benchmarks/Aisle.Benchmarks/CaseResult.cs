using System.Text.Json;
using System.Text.Json.Serialization;

namespace Aisle.Benchmarks;

/// <summary>One line of a benchmark's answer: medians over the turns.</summary>
/// <param name="Peer">Null where the peer is not on this machine.</param>
/// <param name="Ratio">Above 1 when ours is better, whether the unit is a time or a rate.</param>
internal sealed record CaseResult(string Benchmark, string Case, string Unit, double Ours, double? Peer, string PeerName, double? Ratio)
{
    /// <summary>A case whose figures are times: less is better.</summary>
    public static CaseResult OfTimes(string benchmark, string name, string unit, IEnumerable<double> ours, IEnumerable<double> peer, string peerName) =>
        Of(benchmark, name, unit, ours, peer, peerName, lessIsBetter: true);

    /// <summary>A case whose figures are rates: more is better.</summary>
    public static CaseResult OfRates(string benchmark, string name, string unit, IEnumerable<double> ours, IEnumerable<double> peer, string peerName) =>
        Of(benchmark, name, unit, ours, peer, peerName, lessIsBetter: false);

    public string ToJson() => JsonSerializer.Serialize(this, ResultsJson.Default.CaseResult);

    private static CaseResult Of(string benchmark, string name, string unit, IEnumerable<double> ours, IEnumerable<double> peer, string peerName, bool lessIsBetter)
    {
        double middle = Median(ours)!.Value;
        var other = Median(peer);
        var ratio = lessIsBetter ? other / middle : middle / other;
        return new CaseResult(benchmark, name, unit, Short(middle)!.Value, Short(other), peerName, Short(ratio));
    }

    private static double? Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted.Length == 0 ? null : (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    // Four digits: more would be noise.
    private static double? Short(double? value) => value is { } known and not 0 ? Math.Round(known, Math.Clamp(3 - (int)Math.Floor(Math.Log10(Math.Abs(known))), 0, 15)) : value;
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(CaseResult))]
internal sealed partial class ResultsJson : JsonSerializerContext;
