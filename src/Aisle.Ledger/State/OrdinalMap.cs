using System.Collections.Immutable;

namespace Aisle.Ledger;

/// <summary>
/// Maps in the ledger sort by ordinal text, whoever made them: a reader's culture or a map's own comparer must not change the order that is
/// written. Absent maps and arrays (a null from outside) are empty ones.
/// </summary>
internal static class OrdinalMap
{
    public static ImmutableSortedDictionary<string, T> Empty<T>() => ImmutableSortedDictionary.Create<string, T>(StringComparer.Ordinal);

    public static ImmutableSortedDictionary<string, T> Ordinal<T>(this ImmutableSortedDictionary<string, T>? map) =>
        map is null ? Empty<T>() : map.WithComparers(StringComparer.Ordinal);

    public static ImmutableArray<T> OrEmpty<T>(this ImmutableArray<T> array) => array.IsDefault ? [] : array;
}
