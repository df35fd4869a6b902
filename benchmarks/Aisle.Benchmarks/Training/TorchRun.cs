using System.Diagnostics;
using System.Globalization;

namespace Aisle.Benchmarks.Training;

/// <summary>The peer: training.py under torchrun, which starts all ranks anew when one dies. It looks after them ten times a second; its default is once in five.</summary>
internal sealed class TorchRun(TrainingSetting setting, int workers) : ITrainingRun
{
    private readonly Dictionary<int, int> _processes = []; // rank → process id, of the newest life
    private readonly ChildProcess _launcher = ChildProcess.Python(
    [
        ChildProcess.Script("torchrun.py"), "--standalone", "--nnodes=1", $"--nproc_per_node={workers}", "--max_restarts=100", "--monitor_interval=0.1",
        ChildProcess.Script("training.py"), setting.Folder, .. setting.Parameters,
    ]);

    public async Task<StepReport> NextAsync()
    {
        while (true)
        {
            var line = await _launcher.HearAsync();
            var at = Stopwatch.GetTimestamp();
            switch (line.Split(' '))
            {
                case ["pid", var rank, var id]:
                    _processes[Whole(rank)] = Whole(id);
                    break;
                case ["step", var step, var loss, var ranks, var restarts]:
                    return new StepReport(Whole(step), double.Parse(loss, CultureInfo.InvariantCulture), Whole(ranks), Whole(restarts), at);
            }
        }
    }

    public void Kill(int worker)
    {
        using var process = Process.GetProcessById(_processes[worker]);
        process.Kill();
    }

    public void Restore()
    {
        // torchrun has done so.
    }

    public ValueTask DisposeAsync()
    {
        _launcher.Dispose();
        return ValueTask.CompletedTask;
    }

    private static int Whole(string text) => int.Parse(text, CultureInfo.InvariantCulture);
}
