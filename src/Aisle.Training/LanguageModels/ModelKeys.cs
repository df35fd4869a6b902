using Aisle.Tensors;

namespace Aisle.Training.LanguageModels;

/// <summary>What a recipe's <c>model.…</c> parameters say, for language models.</summary>
internal static class ModelKeys
{
    public const string Precision = "precision", Recompute = "recompute", SeparateDocuments = "separateDocuments";

    /// <exception cref="AisleException">AISLE-5144.</exception>
    public static int Whole(TrainingRecipe recipe, string name, int otherwise) => !recipe.Model.TryGetValue(name, out var text) ? otherwise
        : int.TryParse(text, System.Globalization.CultureInfo.InvariantCulture, out var value) ? value
        : throw Wrong(name, text, "a whole number");

    /// <exception cref="AisleException">AISLE-5144.</exception>
    public static double Number(TrainingRecipe recipe, string name, double otherwise) => !recipe.Model.TryGetValue(name, out var text) ? otherwise
        : double.TryParse(text, System.Globalization.CultureInfo.InvariantCulture, out var value) ? value
        : throw Wrong(name, text, "a number");

    /// <param name="endOfText">Begins a document where documents are separate. Null where only sizes are asked for: they are the same.</param>
    /// <exception cref="AisleException">AISLE-5144.</exception>
    public static LanguageModelOptions OptionsOf(TrainingRecipe recipe, int? endOfText) => new()
    {
        Precision = recipe.Model.GetValueOrDefault(Precision, "float32") switch
        {
            "float32" => WeightPrecision.Float32,
            "bf16" => WeightPrecision.BFloat16,
            var other => throw Wrong(Precision, other, "float32 or bf16"),
        },
        Recompute = Flag(recipe, Recompute),
        DocumentStart = Flag(recipe, SeparateDocuments) ? endOfText : null,
    };

    private static bool Flag(TrainingRecipe recipe, string name) => recipe.Model.GetValueOrDefault(name, "false") switch
    {
        "false" => false,
        "true" => true,
        var other => throw Wrong(name, other, "true or false"),
    };

    private static AisleException Wrong(string name, string text, string expected) => new("AISLE-5144", $"model.{name} is '{text}', not {expected}.", "Correct it in the spec.");
}
