using Aisle.Training.LanguageModels;
using Aisle.Training.Numerics;

namespace Aisle.Training.Tests;

public sealed class TrainingRecipeTests
{
    [Fact]
    public void The_canonical_form_reads_back_as_the_same_recipe()
    {
        foreach (var parameters in (Dictionary<string, string>[])
        [
            new() { ["steps"] = "300", ["optimizer.learningRate"] = "0.003", ["model.layers"] = "4" },
            new() { ["samplesPerSlice"] = "32", ["optimizer.kind"] = "sgd", ["optimizer.momentum"] = "0.8", ["optimizer.nesterov"] = "true", ["optimizer.schedule"] = "linear" },
            new() { ["optimizer.kind"] = "adam", ["optimizer.beta2"] = "0.99", ["optimizer.schedule"] = "constant" },
            new() { ["optimizer.kind"] = "lion", ["optimizer.weightDecay"] = "0.5" },
        ])
        {
            var recipe = TrainingRecipe.FromParameters(parameters, seed: 9);
            var again = TrainingRecipe.FromParameters(recipe.ToParameters(), 9);
            Assert.Equal(recipe.Digest, again.Digest);
            Assert.Equal(recipe.ToParameters(), again.ToParameters());
            Assert.Equal(recipe with { Model = again.Model }, again);
            foreach (var (name, value) in parameters) Assert.Equal(value, recipe.ToParameters()[name]);
            Assert.NotEqual(recipe.Digest, TrainingRecipe.FromParameters(recipe.ToParameters(), 10).Digest);
        }
    }

    [Fact]
    public void A_recipe_from_before_there_were_kinds_of_optimisers_keeps_its_digest()
    {
        var recipe = TrainingRecipe.FromParameters(new Dictionary<string, string> { ["steps"] = "300", ["model.layers"] = "4" }, seed: 9);
        Assert.Equal(
            """
            checkpointEvery=0
            contextTokens=128
            fractionBits=36
            model.layers=4
            optimizer.beta1=0.9
            optimizer.beta2=0.95
            optimizer.clipNorm=1
            optimizer.epsilon=1E-08
            optimizer.finalLearningRateRatio=0.1
            optimizer.learningRate=0.001
            optimizer.warmupSteps=20
            optimizer.weightDecay=0.1
            sequencesPerSlice=4
            slices=24
            steps=300
            """,
            string.Join('\n', recipe.ToParameters().Select(parameter => $"{parameter.Key}={parameter.Value}")));
    }

    [Fact]
    public void Samples_count_for_their_tokens()
    {
        var sequences = TrainingRecipe.FromParameters(new Dictionary<string, string> { ["slices"] = "3", ["sequencesPerSlice"] = "2", ["contextTokens"] = "16" }, 0);
        Assert.Equal((2, 16, 96), (sequences.SequencesPerSlice, sequences.ContextTokens, sequences.TokensPerStep));
        Assert.Equal(36 - 5, sequences.SumFractionBits);
        var images = TrainingRecipe.FromParameters(new Dictionary<string, string> { ["slices"] = "3", ["samplesPerSlice"] = "8" }, 0);
        Assert.Equal((8, 1, 24), (images.SamplesPerSlice, images.TokensPerSample, images.TokensPerStep));
        Assert.Equal(36 - 3, images.SumFractionBits);
        var faulty = Assert.Throws<AisleException>(() => TrainingRecipe.FromParameters(new Dictionary<string, string> { ["samplesPerSlice"] = "8", ["contextTokens"] = "3" }, 0));
        Assert.Contains("both are given", faulty.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_fixed_point_codec_is_another_word_for_its_bits()
    {
        var codec = TrainingRecipe.FromParameters(new Dictionary<string, string> { ["codec"] = "q32" }, 0);
        Assert.Equal(TrainingRecipe.FromParameters(new Dictionary<string, string> { ["fractionBits"] = "32" }, 0).Digest, codec.Digest);
        Assert.Equal(TrainingRecipe.FromParameters(new Dictionary<string, string>(), 0).Digest, TrainingRecipe.FromParameters(new Dictionary<string, string> { ["codec"] = "q36" }, 0).Digest);
        var eight = TrainingRecipe.FromParameters(new Dictionary<string, string> { ["codec"] = "int8" }, 0);
        Assert.Equal(GradientCodec.Int8, eight.Codec);
        Assert.Equal(eight.Digest, TrainingRecipe.FromParameters(eight.ToParameters(), 0).Digest);
        Assert.Throws<AisleException>(() => TrainingRecipe.FromParameters(new Dictionary<string, string> { ["codec"] = "q32", ["fractionBits"] = "36" }, 0));
    }

    [Fact]
    public void All_faults_are_named_at_once()
    {
        var fault = Assert.Throws<AisleException>(() => TrainingRecipe.FromParameters(
            new Dictionary<string, string> { ["steps"] = "0", ["slices"] = "many", ["optimizer.beta1"] = "NaN", ["lerningRate"] = "1", ["optimizer.schedule"] = "wavy" }, 0));
        Assert.Equal("AISLE-5101", fault.Code);
        foreach (var name in (string[])["steps", "slices", "optimizer.beta1", "lerningRate", "wavy"]) Assert.Contains(name, fault.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("sgd", "optimizer.beta1")]
    [InlineData("adamw", "optimizer.momentum")]
    [InlineData("lion", "optimizer.epsilon")]
    public void A_constant_that_means_nothing_to_the_optimiser_is_refused(string kind, string constant)
    {
        var fault = Assert.Throws<AisleException>(() => TrainingRecipe.FromParameters(new Dictionary<string, string> { ["optimizer.kind"] = kind, [constant] = "0.5" }, 0));
        Assert.Contains(constant, fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_spec_writes_out_for_AdamW_may_stand_beside_another_optimiser_and_is_dropped()
    {
        Dictionary<string, string> written = new() { ["optimizer.beta1"] = "0.9", ["optimizer.beta2"] = "0.95", ["optimizer.epsilon"] = "1e-08", ["optimizer.weightDecay"] = "0.01" };
        var recipe = TrainingRecipe.FromParameters(new Dictionary<string, string>(written) { ["optimizer.kind"] = "sgd" }, 0);
        Assert.Equal(new SgdOptions { WeightDecay = 0.01 }, recipe.Optimizer);
        Assert.DoesNotContain("optimizer.beta1", recipe.ToParameters().Keys);
        Assert.Equal(new LionOptions { Beta2 = 0.95, WeightDecay = 0.01 }, TrainingRecipe.FromParameters(new Dictionary<string, string>(written) { ["optimizer.kind"] = "lion" }, 0).Optimizer);
    }

    [Fact]
    public void A_misspelt_key_of_the_model_is_refused_by_whoever_builds_it()
    {
        var recipe = TrainingRecipe.FromParameters(new Dictionary<string, string> { ["model.layers"] = "1", ["model.widht"] = "32" }, 0);
        var fault = Assert.Throws<AisleException>(() => LanguageModelTraining.ConfigOf(recipe, new TokensDescription(64, 0, 1000, 0, 0)));
        Assert.Equal("AISLE-5160", fault.Code);
        Assert.Contains("model.widht", fault.Message, StringComparison.Ordinal);
        Assert.Contains("model.width", fault.Message, StringComparison.Ordinal);
    }
}
