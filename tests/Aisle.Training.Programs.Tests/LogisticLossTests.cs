using Aisle.Training.Numerics;
using CsCheck;

namespace Aisle.Training.Programs.Tests;

public sealed class LogisticLossTests
{
    [Fact]
    public void It_agrees_with_the_library_functions_it_does_without() => Gen.Select(Gen.Double[-40, 40], Gen.Bool).Sample((score, answer) =>
    {
        var (loss, slope) = LogisticLoss.Of(score, answer);
        var probability = 1 / (1 + Math.Exp(answer ? -score : score));
        // The formula for comparison loses digits itself where the loss is tiny.
        var expected = -Math.Log(probability);
        Assert.True(Math.Abs(loss - expected) <= 4e-15 * Math.Max(1, expected), $"{score} {answer}: {loss:R} against {expected:R}");
        Assert.True(Math.Abs(Math.Abs(slope) - (1 - probability)) <= 1e-15, $"{score} {answer}: {slope:R}");
        Assert.Equal(answer ? -1 : 1, Math.Sign(slope));
    });

    [Fact]
    public void Scores_far_out_stay_finite()
    {
        Assert.Equal((0.0, -0.0), LogisticLoss.Of(1e9, answer: true));
        Assert.Equal((1e9, 1.0), LogisticLoss.Of(1e9, answer: false));
        Assert.True(double.IsNaN(LogisticLoss.Of(double.NaN, answer: true).Loss));
    }
}
