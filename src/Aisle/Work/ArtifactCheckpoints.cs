using Aisle.Artifacts;
using Aisle.Training.Checkpoints;

namespace Aisle.Work;

/// <summary>Checkpoints and models as artifacts of the data centre.</summary>
internal sealed class ArtifactCheckpoints(ArtifactStore artifacts) : ICheckpointStore
{
    public async Task<Digest> SaveAsync(string folder, CancellationToken cancellationToken) =>
        (await artifacts.PutAsync(folder, cancellationToken: cancellationToken)).Digest;

    public Task LoadAsync(Digest digest, string folder, CancellationToken cancellationToken) => artifacts.GetAsync(digest, folder, null, cancellationToken);
}
