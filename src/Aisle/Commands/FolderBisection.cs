using Aisle.Monitoring;
using Aisle.Training.Checkpoints;
using Aisle.Training.Programs;

namespace Aisle.Commands;

/// <summary>Two runs of programs without a data centre: their step logs, and the states that both still have. The program is not run again: only its owner can do that.</summary>
internal static class FolderBisection
{
    public static BisectView Run(string first, string second)
    {
        var comparison = StepLogComparison.Of(RunRecord.Steps(first), RunRecord.Steps(second));
        var view = new BisectView(comparison.FirstDifferent is null, first, second, comparison.Compared, comparison.LastSame, comparison.FirstDifferent);
        if (comparison.FirstDifferent is not { } step) return view with { Summary = $"Same: no step differs, of {comparison.Compared} that both tell." };

        var (a, b) = (RunFolder.StatesIn(first), RunFolder.StatesIn(second));
        var at = a.Keys.Intersect(b.Keys).Where(state => state >= step).Order().Cast<long?>().FirstOrDefault();
        if (at is null)
        {
            return view with
            {
                Summary = $"They differ first at step {step}. Both folders keep no state of one step at or after it, so the tensor cannot be named: "
                    + $"run both again with CheckpointEvery {step} and compare those folders.",
            };
        }
        var tensors = StateComparison.Of(a[at.Value], b[at.Value], RunFolder.TensorsIn(first));
        var exact = at == step ? "" : $" (the first stored state of both at or after step {step})";
        return view with
        {
            TensorsAtStep = at, Tensors = tensors, Tensor = tensors.Count > 0 ? tensors[0].Tensor : null,
            Summary = $"They differ first at step {step}. {BisectCommand.Tell(at.Value, tensors)}{exact}",
        };
    }
}
