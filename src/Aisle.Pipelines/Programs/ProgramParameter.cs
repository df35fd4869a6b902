using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Aisle.Pipelines;

/// <summary>A value that a program takes: what it means, what it may be, and what it is when nobody says.</summary>
/// <param name="Name">Dots group names, so that <c>model.layers</c> may be written as a map in a spec.</param>
/// <param name="Default">In canonical form.</param>
public abstract record ProgramParameter(string Name, string Default, string Meaning)
{
    /// <summary>What may be written, for people: <c>a whole number from 1 to 64</c>.</summary>
    public abstract string Expected { get; }

    /// <summary>Brings a written value to the one form that counts in identities: <c>+0300</c> and <c>300</c> are one value.</summary>
    public abstract bool TryRead(string text, [NotNullWhen(true)] out string? canonical);
}

public sealed record IntegerParameter(string Name, long Value, long Minimum, long Maximum, string Meaning)
    : ProgramParameter(Name, Value.ToString(CultureInfo.InvariantCulture), Meaning)
{
    public override string Expected => $"a whole number from {Minimum} to {Maximum}";

    public override bool TryRead(string text, [NotNullWhen(true)] out string? canonical)
    {
        var read = long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) && value >= Minimum && value <= Maximum;
        canonical = read ? value.ToString(CultureInfo.InvariantCulture) : null;
        return read;
    }
}

public sealed record NumberParameter(string Name, double Value, double Minimum, double Maximum, string Meaning)
    : ProgramParameter(Name, Write(Value), Meaning)
{
    public override string Expected => $"a number from {Write(Minimum)} to {Write(Maximum)}";

    public override bool TryRead(string text, [NotNullWhen(true)] out string? canonical)
    {
        var read = double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && value >= Minimum && value <= Maximum;
        canonical = read ? Write(value) : null;
        return read;
    }

    // The shortest text that reads back as the same bits; adding zero turns -0 into 0.
    private static string Write(double value) => (value + 0.0).ToString("R", CultureInfo.InvariantCulture);
}

/// <summary>A parameter that stays away unless it is written: for one that came later, so that what was wanted before keeps its identity, and for one that only some choices have.</summary>
public sealed record OptionalParameter(ProgramParameter Inner)
    : ProgramParameter(Inner.Name, Inner.Default, Inner.Meaning)
{
    public override string Expected => Inner.Expected;

    public override bool TryRead(string text, [NotNullWhen(true)] out string? canonical) => Inner.TryRead(text, out canonical);
}

/// <summary>One of a few words.</summary>
public sealed record ChoiceParameter(string Name, ImmutableArray<string> Choices, string Meaning)
    : ProgramParameter(Name, Choices[0], Meaning)
{
    public override string Expected => $"one of {string.Join(", ", Choices)}";

    public override bool TryRead(string text, [NotNullWhen(true)] out string? canonical)
    {
        canonical = Choices.Contains(text) ? text : null;
        return canonical is not null;
    }
}

/// <summary>Any number of names with commas between them; their order does not count.</summary>
public sealed partial record NamesParameter(string Name, string Meaning)
    : ProgramParameter(Name, "", Meaning)
{
    private const int MostNames = 64;

    public override string Expected => $"up to {MostNames} names with commas between them";

    public override bool TryRead(string text, [NotNullWhen(true)] out string? canonical)
    {
        var names = text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Distinct().Order(StringComparer.Ordinal).ToList();
        canonical = names.Count <= MostNames && names.All(name => OneName.IsMatch(name)) ? string.Join(',', names) : null;
        return canonical is not null;
    }

    [GeneratedRegex(@"\A[A-Za-z0-9_.-]{1,64}\z")]
    private static partial Regex OneName { get; }
}

/// <summary>One line of text.</summary>
public sealed record TextParameter(string Name, string Value, string Meaning) : ProgramParameter(Name, Value, Meaning)
{
    private const int MostCharacters = 1000;

    public override string Expected => $"a line of 1 to {MostCharacters} characters";

    public override bool TryRead(string text, [NotNullWhen(true)] out string? canonical)
    {
        canonical = text.Trim() is { Length: >= 1 and <= MostCharacters } trimmed && !trimmed.Any(char.IsControl) ? trimmed : null;
        return canonical is not null;
    }
}
