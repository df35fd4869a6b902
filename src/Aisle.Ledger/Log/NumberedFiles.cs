using System.Globalization;

namespace Aisle.Ledger.Log;

/// <summary>Files named by a prefix, a number of 20 digits and a suffix, so that a directory listing is in order.</summary>
internal static class NumberedFiles
{
    public static string NameOf(string prefix, long number, string suffix) => string.Create(CultureInfo.InvariantCulture, $"{prefix}{number:D20}{suffix}");

    public static IReadOnlyList<long> List(ILedgerDisk disk, string prefix, string suffix) =>
    [
        .. from name in disk.List()
           where name.Length == prefix.Length + 20 + suffix.Length && name.StartsWith(prefix, StringComparison.Ordinal) && name.EndsWith(suffix, StringComparison.Ordinal)
           let digits = name.Substring(prefix.Length, 20)
           where digits.All(char.IsAsciiDigit) && long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out _)
           let number = long.Parse(digits, CultureInfo.InvariantCulture)
           orderby number
           select number,
    ];
}
