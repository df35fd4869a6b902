using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Aisle.Artifacts;

/// <summary>Which nodes a shard belongs on: rendezvous hashing, so every node computes the same answer alone, and a node that comes or goes moves only its own share.</summary>
/// <remarks>Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998.</remarks>
public static class Placement
{
    /// <summary>All of <paramref name="nodes"/>, the best first. The first <c>n</c> are where <c>n</c> copies belong; the next ones step in for those that fail.</summary>
    public static IReadOnlyList<T> Rank<T>(Digest shard, IEnumerable<T> nodes, Func<T, string> name) =>
        [.. nodes.Select(node => (node, name: name(node))).OrderByDescending(item => Score(shard, item.name)).ThenBy(item => item.name, StringComparer.Ordinal).Select(item => item.node)];

    private static ulong Score(Digest shard, string node)
    {
        var input = new byte[Digest.SizeBytes + Encoding.UTF8.GetByteCount(node)];
        shard.CopyTo(input);
        Encoding.UTF8.GetBytes(node, input.AsSpan(Digest.SizeBytes));
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(input, hash);
        return BinaryPrimitives.ReadUInt64BigEndian(hash);
    }
}
