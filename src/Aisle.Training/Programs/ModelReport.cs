using System.Globalization;
using System.Text.Json;

namespace Aisle.Training.Programs;

/// <summary>What a finished run says: the figures that the program measured on its model, where the model is, and its digest.</summary>
public static class ModelReport
{
    /// <summary>Beside a model's weights: figures by name, measured on the finished model.</summary>
    public const string EvaluationFile = "evaluation.json";

    /// <param name="output">Gets one line, <c>model sha256:…</c>.</param>
    /// <param name="talk">Gets the rest.</param>
    public static void Write(RunFolder folder, TextWriter output, TextWriter talk)
    {
        var evaluation = Path.Combine(folder.ModelPath, EvaluationFile);
        if (File.Exists(evaluation)) talk.WriteLine(string.Join("  ", Read(evaluation).Select(figure => string.Create(CultureInfo.InvariantCulture, $"{figure.Key} {figure.Value:0.####}"))));
        talk.WriteLine($"The model is in {folder.ModelPath}");
        output.WriteLine($"model  {folder.Model}");
    }

    /// <summary>Writes figures so that the same figures give the same bytes.</summary>
    internal static void WriteEvaluation(string modelFolder, IEnumerable<KeyValuePair<string, double>> figures)
    {
        using var file = File.Create(Path.Combine(modelFolder, EvaluationFile));
        using var json = new Utf8JsonWriter(file, new JsonWriterOptions { Indented = true, NewLine = "\n" });
        json.WriteStartObject();
        foreach (var (name, value) in figures.OrderBy(figure => figure.Key, StringComparer.Ordinal)) json.WriteNumber(name, value);
        json.WriteEndObject();
    }

    private static IEnumerable<KeyValuePair<string, double>> Read(string path)
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(path));
        return [.. document.RootElement.EnumerateObject().Where(figure => figure.Value.ValueKind == JsonValueKind.Number).Select(figure => KeyValuePair.Create(figure.Name, figure.Value.GetDouble()))];
    }
}
