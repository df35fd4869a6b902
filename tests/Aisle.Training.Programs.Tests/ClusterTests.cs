using Aisle.Scenarios;

namespace Aisle.Training.Programs.Tests;

/// <summary>The same unchanged program as a step of a spec, in a real data centre.</summary>
public sealed class ClusterTests
{
    private const string Spec = """
        name: own-program
        inputs:
          program: programs/factorisation
        steps:
          model:
            use: train-program
            in: { program: program }
            with: { run: dotnet program/matrix-factorisation.dll --small }
            workers: 2
        outputs:
          model: model
        """;

    [Fact]
    public async Task A_train_step_with_a_program_of_ones_own_gives_the_model_of_the_program_alone()
    {
        using var folder = new TemporaryFolder();
        using var alone = await Running.ToEndAsync("matrix-factorisation", "--small", "--folder", folder["alone"]);
        await using var dataCentre = await DataCentre.StartAsync(nodes: 2);
        await dataCentre.JsonAsync("put", "programs/factorisation", ProgramFolder(folder["program"]));
        await File.WriteAllTextAsync(folder["spec.yaml"], Spec, TestContext.Current.CancellationToken);
        var finished = await dataCentre.JsonAsync("run", folder["spec.yaml"], "-f");
        Assert.Equal(alone.Model, finished["outputs"]!["model"]!.GetValue<string>());

        await File.WriteAllTextAsync(folder["broken.yaml"], Spec.Replace("matrix-factorisation.dll", "no-such.dll", StringComparison.Ordinal), TestContext.Current.CancellationToken);
        var broken = await dataCentre.RunAsync("run", folder["broken.yaml"], "-f", "--json");
        Assert.Equal(1, broken.ExitCode);
        Assert.Contains("AISLE-5179", broken.Output);
        Assert.Contains("no-such.dll", broken.Output);
    }

    /// <summary>The built example without the tests that stand beside it here.</summary>
    private static string ProgramFolder(string folder)
    {
        Directory.CreateDirectory(folder);
        var needs = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "matrix-factorisation.deps.json"));
        foreach (var file in Directory.GetFiles(AppContext.BaseDirectory))
        {
            var name = Path.GetFileName(file);
            if (name.StartsWith("matrix-factorisation", StringComparison.Ordinal) || (name.EndsWith(".dll", StringComparison.Ordinal) && needs.Contains(name, StringComparison.Ordinal)))
                File.Copy(file, Path.Combine(folder, name));
        }
        return folder;
    }
}
