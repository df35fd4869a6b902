using System.Collections.Immutable;

namespace Aisle.Artifacts;

/// <summary>
/// The node an artifact is named by: its digest is the artifact's.
/// <code>
/// root  04 version  chunking profile u8  entries u64  bytes u64  directory height u8, directory 32 unless there are no entries
///       metadata count u16  { key, value } × count, keys rising; each a length u16 and UTF-8
/// </code>
/// </summary>
internal sealed record RootNode(long Entries, long Bytes, Digest Directory, int Height, ImmutableSortedDictionary<string, string> Metadata)
{
    public const int MaxMetadata = 256, MaxKeyChars = 128, MaxValueBytes = 8 * 1024, MaxMetadataBytes = 64 * 1024;

    public static readonly ImmutableSortedDictionary<string, string> NoMetadata =
        ImmutableSortedDictionary.Create<string, string>(Comparer<string>.Create(EntryPath.Compare));

    public byte[] Encode()
    {
        var writer = new NodeWriter(NodeKind.Root);
        writer.Byte(Chunker.ProfileCdc64);
        writer.U64(Entries);
        writer.U64(Bytes);
        writer.Byte((byte)Height);
        if (Entries > 0) writer.Digest(Directory);
        writer.U16(Metadata.Count);
        foreach (var (key, value) in Metadata)
        {
            writer.Text(key);
            writer.Text(value);
        }
        return writer.ToArray();
    }

    public static RootNode Decode(ReadOnlySpan<byte> node)
    {
        var reader = new NodeReader(node, NodeKind.Root);
        var profile = reader.Byte();
        if (profile != Chunker.ProfileCdc64) throw new ArtifactInvalidException($"chunking profile {profile} is not known");
        var entries = reader.U64();
        var bytes = reader.U64();
        var height = reader.Byte();
        if (height > MerkleBuilder<DirectoryItem>.MaxHeight || (entries == 0) != (height == 0) || (entries == 0 && bytes != 0))
            throw new ArtifactInvalidException($"{entries} entries of {bytes} bytes cannot be in a directory of height {height}");
        var directory = entries > 0 ? reader.Digest() : default;
        var metadata = NoMetadata.ToBuilder();
        var count = reader.U16();
        string? last = null;
        for (var i = 0; i < count; i++)
        {
            var key = reader.Text();
            if (last is not null && EntryPath.Compare(last, key) >= 0) throw new ArtifactInvalidException($"metadata key '{key}' is out of order");
            metadata.Add(last = key, reader.Text());
        }
        reader.End();
        var found = metadata.ToImmutable();
        return MetadataFault(found) is { } fault ? throw new ArtifactInvalidException(fault) : new RootNode(entries, bytes, directory, height, found);
    }

    /// <exception cref="AisleException">AISLE-1014: a key or value is out of bounds.</exception>
    public static ImmutableSortedDictionary<string, string> CheckMetadata(IReadOnlyDictionary<string, string>? metadata)
    {
        var sorted = metadata is null ? NoMetadata : NoMetadata.AddRange(metadata);
        return MetadataFault(sorted) is { } fault
            ? throw new AisleException("AISLE-1014", $"The metadata cannot be kept: {fault}.", "Keep metadata to a few short words; put anything longer into the artifact as an entry.")
            : sorted;
    }

    private static string? MetadataFault(IReadOnlyDictionary<string, string> metadata)
    {
        if (metadata.Count > MaxMetadata) return $"{metadata.Count} keys are more than {MaxMetadata}";
        long total = 0;
        foreach (var (key, value) in metadata)
        {
            if (key.Length is 0 or > MaxKeyChars) return $"a key of {key.Length} characters is out of bounds (1 to {MaxKeyChars})";
            try
            {
                var valueBytes = EntryPath.Encode(value).Length;
                if (valueBytes > MaxValueBytes) return $"the value of '{key}' is longer than {MaxValueBytes} bytes";
                total += EntryPath.Encode(key).Length + valueBytes;
            }
            catch (System.Text.EncoderFallbackException)
            {
                return $"'{key}' or its value is not valid Unicode";
            }
        }
        return total > MaxMetadataBytes ? $"{total} bytes are more than {MaxMetadataBytes}" : null;
    }
}
