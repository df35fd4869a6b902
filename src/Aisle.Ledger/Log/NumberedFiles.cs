using System.Globalization;

namespace Aisle.Ledger.Log;

/// <summary>Files named by a prefix, an index of 20 digits and a suffix, so that a directory listing is in order of index.</summary>
internal static class NumberedFiles
{
    public static IReadOnlyList<(long Index, string Path)> List(string directory, string prefix, string suffix) =>
    [
        .. from path in Directory.EnumerateFiles(directory, prefix + "*" + suffix)
           let name = Path.GetFileName(path)
           where name.Length == prefix.Length + 20 + suffix.Length
           let digits = name.Substring(prefix.Length, 20)
           where digits.All(char.IsAsciiDigit) && long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out _)
           let index = long.Parse(digits, CultureInfo.InvariantCulture)
           orderby index
           select (index, path),
    ];
}
