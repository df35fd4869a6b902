namespace Aisle.Training.Protocol;

/// <summary>A worker that computes wrongly and is refused under its name. All others are told, so that a coordinator that starts with nothing in memory hears of it from them.</summary>
/// <param name="Host">Empty where it was gone already.</param>
/// <param name="Why">What showed it.</param>
/// <param name="Step">Where it was found out.</param>
/// <param name="Slice">Null when it was not a slice that showed it.</param>
public sealed record ShutOut(string Name, string Host, string Why, long Step, int? Slice)
{
    /// <summary>So many are remembered; a run with more has other troubles.</summary>
    public const int Most = 256;

    public AisleException ToException() => new(
        "AISLE-5190", $"Worker {Name} computes wrongly and was shut out at step {Step}: {Why}.", "Run `aisle doctor` and a memory test on its machine; the run goes on without it.");
}
