using System.Text;

namespace Aisle.Artifacts;

/// <summary>
/// What may name an entry: a relative path with <c>/</c> between its parts, 1 to 1024 bytes of UTF-8, no part empty, <c>.</c>, <c>..</c> or
/// longer than 255 bytes, no backslash, no NUL. Checked when an artifact is written and again whenever one is read.
/// </summary>
internal static class EntryPath
{
    public const int MaxBytes = 1024;
    private const int MaxPartBytes = 255;
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Why a path is refused, or null.</summary>
    public static string? Fault(string path)
    {
        if (path.Length == 0) return "it is empty";
        if (path[0] == '/') return "it is absolute";
        if (path.Contains('\\')) return "it holds a backslash";
        if (path.Contains('\0')) return "it holds a NUL";
        try
        {
            if (StrictUtf8.GetByteCount(path) > MaxBytes) return $"it is longer than {MaxBytes} bytes";
            foreach (var part in path.Split('/'))
            {
                if (part.Length == 0) return "a part of it is empty";
                if (part is "." or "..") return $"it holds '{part}'";
                if (StrictUtf8.GetByteCount(part) > MaxPartBytes) return $"a part of it is longer than {MaxPartBytes} bytes";
            }
        }
        catch (EncoderFallbackException)
        {
            return "it is not valid Unicode";
        }
        return null;
    }

    /// <exception cref="AisleException">AISLE-1007: the path is refused.</exception>
    public static string Check(string path) => Fault(path) is { } fault
        ? throw new AisleException("AISLE-1007", $"'{path}' cannot name an entry: {fault}.", "Use a relative path such as part-1/data.jsonl.")
        : path;

    /// <summary>Order of entries in an artifact: by UTF-8 bytes, the same on every machine.</summary>
    public static int Compare(string left, string right)
    {
        var length = Math.Min(left.Length, right.Length);
        for (var i = 0; i < length; i++)
        {
            char a = left[i], b = right[i];
            if (a == b) continue;
            // The one place where UTF-16 order differs: a surrogate stands for a character above all that need none.
            return char.IsSurrogate(a) == char.IsSurrogate(b) ? a - b : char.IsSurrogate(a) ? 1 : -1;
        }
        return left.Length - right.Length;
    }

    public static byte[] Encode(string path) => StrictUtf8.GetBytes(path);

    /// <exception cref="DecoderFallbackException">Not UTF-8.</exception>
    public static string Decode(ReadOnlySpan<byte> bytes) => StrictUtf8.GetString(bytes);
}

/// <summary>Watches a listing go by: paths must rise, and no entry may lie inside another one. Memory: the paths that lead to the present one.</summary>
internal sealed class PathOrder
{
    private readonly Stack<string> _prefixes = []; // each a string prefix of the one above it

    /// <summary>Why <paramref name="path"/> may not follow, or null.</summary>
    public string? Fault(string path)
    {
        if (_prefixes.TryPeek(out var last))
        {
            var order = EntryPath.Compare(last, path);
            if (order == 0) return $"entry '{path}' is there twice";
            if (order > 0) return $"entry '{path}' is out of order";
        }
        while (_prefixes.TryPeek(out var prefix) && !path.StartsWith(prefix, StringComparison.Ordinal)) _prefixes.Pop();
        foreach (var prefix in _prefixes)
        {
            if (path[prefix.Length] == '/') return $"'{prefix}' is both an entry and the folder of '{path}'";
        }
        _prefixes.Push(path);
        return null;
    }
}
