using CsCheck;

namespace Aisle.Training.Tests;

internal static class Consts
{
    /// <summary>One of a few values, for the corners that chance seldom finds.</summary>
    public static Gen<T> Of<T>(params T[] values) => Gen.Int[0, values.Length - 1].Select(i => values[i]);
}
