namespace Aisle.Training.LanguageModels;

/// <summary>A recipe in a language model's words: its samples are sequences, and each of a sequence's tokens is predicted.</summary>
public static class LanguageModelRecipe
{
    extension(TrainingRecipe recipe)
    {
        public int SequencesPerSlice => recipe.SamplesPerSlice;

        public int ContextTokens => recipe.TokensPerSample;
    }
}
