namespace Aisle.Artifacts;

/// <summary>Fewer nodes than promised could store a shard, so it was not acknowledged.</summary>
public sealed class TooFewCopiesException(Digest shard, int copies, int required, int wanted, IReadOnlyList<Exception> failures) : AisleException(
    code: "AISLE-1011",
    what: $"Shard {shard.Short} reached {copies} of the {required} nodes required ({wanted} wanted)." +
        (failures.Count == 0 ? "" : $" First failure: {failures[0].Message}"),
    next: "Bring nodes back or free their disks (`aisle nodes`), then put it again; what was already sent is not sent twice.",
    inner: failures.Count == 0 ? null : new AggregateException(failures))
{
    public int Copies { get; } = copies;

    public int Required { get; } = required;
}
