namespace Aisle.Tensors;

/// <summary>Who computes, and held back to what. Every worker of a job makes the same choice, so it is part of the numeric class.</summary>
internal enum ArithmeticChoice
{
    /// <summary>libtorch with all instructions the machine has.</summary>
    Fast,

    /// <summary>libtorch held back to AVX2, so that machines of different generations agree; about half the speed of AVX-512.</summary>
    Portable,

    /// <summary>C# whose bits are the same on every processor; libtorch is not loaded.</summary>
    Exact,
}

internal static class ArithmeticChoices
{
    public const string Variable = "AISLE_NUMERIC_CLASS";

    /// <exception cref="AisleException">AISLE-5006: the variable holds something else.</exception>
    public static ArithmeticChoice OfThisProcess() => Environment.GetEnvironmentVariable(Variable) switch
    {
        null or "" => ArithmeticChoice.Fast,
        "fast" => ArithmeticChoice.Fast,
        "portable" => ArithmeticChoice.Portable,
        "exact" => ArithmeticChoice.Exact,
        var other => throw new AisleException("AISLE-5006", $"{Variable} is '{other}'.", "Set it to fast, portable or exact, or leave it out."),
    };
}
