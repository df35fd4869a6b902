using System.Diagnostics;
using System.Globalization;
using Aisle.Training.Numerics;

namespace Aisle.Training.Tests.Numerics;

/// <summary>Our updates beside torch.optim, where this machine's Python has PyTorch.</summary>
public sealed class TorchOptimizerTests
{
    private const string Python = "/usr/bin/python3";
    private const int Length = 24, Steps = 25;
    private const double Rate = 0.02;

    [Fact]
    public async Task Every_optimiser_that_PyTorch_has_moves_as_PyTorch_moves()
    {
        if (!File.Exists(Python) || await RunAsync("import torch; print(torch.__version__)") is not { } version)
        {
            Assert.Skip($"{Python} has no torch here; `apt-get install python3-torch` brings it.");
            return;
        }
        (OptimizerOptions Options, string Torch)[] cases =
        [
            (new AdamWOptions { Beta2 = 0.98, WeightDecay = 0.1 }, "AdamW(p, lr=0.02, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.1)"),
            (new AdamOptions { WeightDecay = 0.05 }, "Adam(p, lr=0.02, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05)"),
            (new SgdOptions { Momentum = 0 }, "SGD(p, lr=0.02)"),
            (new SgdOptions { Momentum = 0.8, WeightDecay = 0.05 }, "SGD(p, lr=0.02, momentum=0.8, weight_decay=0.05)"),
            (new SgdOptions { Momentum = 0.8, Nesterov = true }, "SGD(p, lr=0.02, momentum=0.8, nesterov=True)"),
        ];
        // Eighths and sixteenths: exact in float, whoever computes them.
        var program = $"""
            import torch
            torch.set_num_threads(1)
            for make in [{string.Join(", ", cases.Select(one => $"lambda p: torch.optim.{one.Torch}"))}]:
                w = torch.tensor([((i * 7) % 13 - 6) / 16 for i in range({Length})], requires_grad=True)
                optimizer = make([w])
                for step in range({Steps}):
                    w.grad = torch.tensor([((i * 5 + step * 3) % 17 - 8) / 8 for i in range({Length})])
                    optimizer.step()
                print(' '.join(repr(x) for x in w.tolist()))
            """;
        var lines = (await RunAsync(program))!.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(cases.Length, lines.Length);
        for (var one = 0; one < cases.Length; one++)
        {
            float[] theirs = [.. lines[one].Split(' ').Select(text => float.Parse(text, CultureInfo.InvariantCulture))];
            var ours = Train(cases[one].Options);
            for (var i = 0; i < Length; i++) Assert.True(Math.Abs(theirs[i] - ours[i]) < 3e-6, $"PyTorch {version.Trim()}, {cases[one].Torch}, weight {i}: {theirs[i]} there, {ours[i]} here.");
        }
    }

    private static float[] Train(OptimizerOptions options)
    {
        float[] weights = [.. Enumerable.Range(0, Length).Select(i => ((i * 7) % 13 - 6) / 16f)];
        var optimizer = options.Create();
        var state = new float[optimizer.Slots.Count * Length];
        var powers = OptimizerPowers.Initial;
        for (var step = 0; step < Steps; step++)
        {
            powers = optimizer.Next(powers);
            float[] gradient = [.. Enumerable.Range(0, Length).Select(i => ((i * 5 + step * 3) % 17 - 8) / 8f)];
            optimizer.Update(new ParameterRange(0, weights, gradient, state, Length), [new(0, Length, ParameterKind.Decayed)], new UpdateStep(Rate, 1, powers));
        }
        return weights;
    }

    private static async Task<string?> RunAsync(string program)
    {
        using var process = Process.Start(new ProcessStartInfo(Python, ["-c", program]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync();
        await errors;
        await process.WaitForExitAsync();
        return process.ExitCode == 0 ? output : null;
    }
}
