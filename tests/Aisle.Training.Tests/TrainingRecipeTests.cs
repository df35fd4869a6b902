namespace Aisle.Training.Tests;

public sealed class TrainingRecipeTests
{
    [Fact]
    public void The_canonical_form_reads_back_as_the_same_recipe()
    {
        var recipe = TrainingRecipe.FromParameters(new Dictionary<string, string> { ["steps"] = "300", ["optimizer.learningRate"] = "0.003", ["model.layers"] = "4" }, seed: 9);
        var again = TrainingRecipe.FromParameters(recipe.ToParameters(), 9);
        Assert.Equal(recipe.Digest, again.Digest);
        Assert.Equal(recipe.ToParameters(), again.ToParameters());
        Assert.Equal("4", again.Model["layers"]);
        Assert.NotEqual(recipe.Digest, TrainingRecipe.FromParameters(recipe.ToParameters(), 10).Digest);
    }

    [Fact]
    public void All_faults_are_named_at_once()
    {
        var fault = Assert.Throws<AisleException>(() => TrainingRecipe.FromParameters(
            new Dictionary<string, string> { ["steps"] = "0", ["slices"] = "many", ["optimizer.beta1"] = "NaN", ["lerningRate"] = "1" }, 0));
        Assert.Equal("AISLE-5101", fault.Code);
        foreach (var name in (string[])["steps", "slices", "optimizer.beta1", "lerningRate"]) Assert.Contains(name, fault.Message, StringComparison.Ordinal);
    }
}
