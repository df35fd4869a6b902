namespace Aisle.Tensors;

/// <summary>Who computes, and held back to what. Every worker of a job makes the same choice, so it is part of the numeric class.</summary>
internal enum ArithmeticChoice
{
    /// <summary>C# whose bits are the same on every processor; libtorch is not loaded. The default.</summary>
    Exact,

    /// <summary>libtorch with all instructions the machine has.</summary>
    LibTorch,

    /// <summary>libtorch held back to AVX2, so that machines of different generations agree.</summary>
    LibTorchAvx2,
}

internal static class ArithmeticChoices
{
    public const string Variable = "AISLE_NUMERIC_CLASS";

    /// <exception cref="AisleException">AISLE-5006: the variable holds something else.</exception>
    public static ArithmeticChoice OfThisProcess() => Environment.GetEnvironmentVariable(Variable) switch
    {
        null or "" or "exact" => ArithmeticChoice.Exact,
        "libtorch" => ArithmeticChoice.LibTorch,
        "libtorch-avx2" => ArithmeticChoice.LibTorchAvx2,
        var other => throw new AisleException("AISLE-5006", $"{Variable} is '{other}'.", "Set it to exact, libtorch or libtorch-avx2, or leave it out."),
    };
}
