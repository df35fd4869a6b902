using System.Security.Cryptography;
using System.Text;
using Aisle.Artifacts;

namespace Aisle.Training.Checkpoints;

/// <summary>
/// States and models as folders beside each other on one disk, named by the digest of their content: SHA-256 over each file's name, length and
/// SHA-256 in ordinal order of names. For training without a data centre around it. Thread-safe, also between processes.
/// </summary>
public sealed class FolderCheckpointStore(string root) : ICheckpointStore
{
    public async Task<Digest> SaveAsync(string folder, CancellationToken cancellationToken)
    {
        var digest = await DigestOfAsync(folder, cancellationToken).ConfigureAwait(false);
        var target = PathOf(digest);
        if (Directory.Exists(target)) return digest;
        var staging = $"{target}.{Environment.ProcessId}.{Environment.CurrentManagedThreadId}.part";
        Directory.CreateDirectory(staging);
        foreach (var file in Directory.EnumerateFiles(folder))
        {
            await using var source = File.OpenRead(file);
            await using var copy = new FileStream(Path.Combine(staging, Path.GetFileName(file)), FileMode.Create, FileAccess.Write);
            await source.CopyToAsync(copy, cancellationToken).ConfigureAwait(false);
            copy.Flush(flushToDisk: true);
        }
        try
        {
            Directory.Move(staging, target);
        }
        catch (IOException) when (Directory.Exists(target))
        {
            Directory.Delete(staging, recursive: true); // another worker stored the same content meanwhile
        }
        return digest;
    }

    /// <exception cref="AisleException">AISLE-5110: it is not here. AISLE-5111: it is damaged.</exception>
    public async Task LoadAsync(Digest digest, string folder, CancellationToken cancellationToken)
    {
        var source = PathOf(digest);
        if (!Directory.Exists(source)) throw new AisleException("AISLE-5110", $"{digest} is not in {root}.", "Check the folder, or resume from another checkpoint.");
        foreach (var file in Directory.EnumerateFiles(source)) File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        var found = await DigestOfAsync(folder, cancellationToken).ConfigureAwait(false);
        if (found != digest) throw new AisleException("AISLE-5111", $"What is stored as {digest.Short} in {root} has digest {found.Short}: it is damaged.", "Resume from another checkpoint.");
    }

    public string PathOf(Digest digest) => Path.Combine(root, digest.Hex);

    public static async Task<Digest> DigestOfAsync(string folder, CancellationToken cancellationToken)
    {
        var text = new StringBuilder();
        foreach (var file in Directory.EnumerateFiles(folder).Order(StringComparer.Ordinal))
        {
            await using var stream = File.OpenRead(file);
            text.Append(Path.GetFileName(file)).Append('\0').Append(stream.Length).Append('\0')
                .Append(Convert.ToHexString(await SHA256.HashDataAsync(stream, cancellationToken).ConfigureAwait(false))).Append('\n');
        }
        return Digest.Of(text.ToString());
    }
}
