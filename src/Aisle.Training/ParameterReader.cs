using System.Globalization;

namespace Aisle.Training;

/// <summary>Reads text parameters and gathers every fault, so that a user corrects a spec once.</summary>
internal sealed class ParameterReader(IReadOnlyDictionary<string, string> parameters)
{
    private readonly List<string> _faults = [];
    private readonly HashSet<string> _known = [];

    /// <summary>Whether the parameter is given; asking makes it known.</summary>
    public bool Has(string name)
    {
        _known.Add(name);
        return parameters.ContainsKey(name);
    }

    public long Whole(string name, long otherwise, long least, long most)
    {
        if (!TryGet(name, out var text)) return Math.Clamp(otherwise, least, most);
        if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) && value >= least && value <= most) return value;
        Fault($"{name} is '{Shown(text)}', not a whole number from {least} to {most}");
        return least;
    }

    public double Number(string name, double otherwise, double least, double most)
    {
        if (!TryGet(name, out var text)) return otherwise;
        if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && value >= least && value <= most) return value;
        Fault(string.Create(CultureInfo.InvariantCulture, $"{name} is '{Shown(text)}', not a number from {least} to {most}"));
        return least;
    }

    /// <returns>The first choice when the parameter is missing.</returns>
    public T Choice<T>(string name, params ReadOnlySpan<(string Text, T Value)> choices)
    {
        if (!TryGet(name, out var text)) return choices[0].Value;
        foreach (var choice in choices)
        {
            if (choice.Text == text) return choice.Value;
        }
        Fault($"{name} is '{Shown(text)}', none of {string.Join(", ", choices.ToArray().Select(choice => choice.Text))}");
        return choices[0].Value;
    }

    /// <summary>A number that is not used, and so may only be what it is when nobody says.</summary>
    public void Unused(string name, double otherwise)
    {
        if (Number(name, otherwise, double.MinValue, double.MaxValue) != otherwise) Fault($"{name} means nothing to this optimizer.kind");
    }

    public void Fault(string what) => _faults.Add(what);

    /// <summary>Call when everything has been asked for: what was not is no parameter at all.</summary>
    /// <exception cref="AisleException">AISLE-5101.</exception>
    public void ThrowIfFaulty()
    {
        foreach (var key in parameters.Keys.Where(key => !_known.Contains(key) && !key.StartsWith("model.", StringComparison.Ordinal)).Order(StringComparer.Ordinal))
            Fault($"'{Shown(key)}' is no parameter of this training");
        if (_faults.Count == 0) return;
        throw new AisleException("AISLE-5101", $"The training recipe is wrong: {string.Join("; ", _faults)}.", "Correct these parameters in the spec.");
    }

    private bool TryGet(string name, out string text)
    {
        _known.Add(name);
        return parameters.TryGetValue(name, out text!);
    }

    private static string Shown(string text) => text.Length <= 40 ? text : text[..40] + "…";
}

/// <summary>Numbers as a recipe writes them: the shortest text that reads back as the same bits.</summary>
internal static class RecipeText
{
    public static string Of(IFormattable value) => value.ToString(value is double ? "R" : null, CultureInfo.InvariantCulture);
}
