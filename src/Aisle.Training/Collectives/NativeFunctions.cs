using System.Runtime.InteropServices;

namespace Aisle.Training.Collectives;

/// <summary>A shared library that may be absent, found when it is first wanted.</summary>
internal sealed class NativeFunctions
{
    private readonly nint _library;
    private readonly Func<string, AisleException> _refuse;

    /// <param name="names">File names as the loader knows them, or paths; the first that loads is taken.</param>
    /// <param name="refuse">Makes the failure from what is wrong.</param>
    public NativeFunctions(IReadOnlyList<string> names, Func<string, AisleException> refuse)
    {
        _refuse = refuse;
        foreach (var name in names)
        {
            if (!NativeLibrary.TryLoad(name, out _library)) continue;
            Name = name;
            return;
        }
        throw refuse($"{string.Join(" or ", names)} cannot be loaded");
    }

    public string Name { get; } = "";

    public bool Has(string symbol) => NativeLibrary.TryGetExport(_library, symbol, out _);

    /// <summary>Address of a function or of a variable.</summary>
    public nint this[string symbol] => NativeLibrary.TryGetExport(_library, symbol, out var address) ? address : throw _refuse($"{Name} has no {symbol}");
}
