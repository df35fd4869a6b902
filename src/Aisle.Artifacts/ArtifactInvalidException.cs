namespace Aisle.Artifacts;

/// <summary>The bytes of a tree node break the artifact format. They match their digest, so whoever wrote them wrote them wrong.</summary>
public sealed class ArtifactInvalidException(string why) : AisleException(
    code: "AISLE-1003",
    what: $"This is not a valid artifact: {why}.",
    next: "Check that the digest names an artifact, not a chunk or a shard; if it does, put the artifact again with this version of Aisle.");
