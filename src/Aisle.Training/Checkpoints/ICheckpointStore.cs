using Aisle.Artifacts;

namespace Aisle.Training.Checkpoints;

/// <summary>
/// Where states and models go: a folder in, its digest out. Its two sides are a folder on disk and the artifacts of a data centre. The digest
/// depends on the folder's content alone.
/// </summary>
public interface ICheckpointStore
{
    /// <summary>Stores the folder's files durably; the folder may be deleted afterwards.</summary>
    Task<Digest> SaveAsync(string folder, CancellationToken cancellationToken);

    /// <summary>Fills the folder, which exists and is empty, with what was stored under the digest, verified.</summary>
    Task LoadAsync(Digest digest, string folder, CancellationToken cancellationToken);
}
