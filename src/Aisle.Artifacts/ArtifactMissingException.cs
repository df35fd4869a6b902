namespace Aisle.Artifacts;

/// <summary>No node that was asked holds a healthy copy.</summary>
public sealed class ArtifactMissingException(Digest digest, int nodesAsked) : AisleException(
    code: "AISLE-1004",
    what: $"{digest} is on none of the {nodesAsked} nodes asked.",
    next: "Start the nodes that hold it, or put it again.");
