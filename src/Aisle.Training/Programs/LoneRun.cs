using System.Security.Cryptography;

namespace Aisle.Training.Programs;

/// <summary>A program on its own: the coordinator and one worker in this process, states and model in a folder.</summary>
internal sealed class LoneRun(ProgramArguments arguments, TrainingRecipe recipe, Func<TrainingRecipe, ITrainable> model, TextWriter output, TextWriter talk, TimeProvider time)
{
    /// <exception cref="AisleException">The run failed; the message says why.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var folder = RunFolder.Open(arguments.Folder, arguments.Fresh);
        folder.Expect(recipe.Digest);
        if (folder.Model is null) await TrainAsync(folder, cancellationToken).ConfigureAwait(false);
        else talk.WriteLine($"This run is finished already; --fresh starts it anew.");
        ModelReport.Write(folder, output, talk);
    }

    private async Task TrainAsync(RunFolder folder, CancellationToken cancellationToken)
    {
        var progress = new ProgressLines(talk, !Console.IsErrorRedirected, () => recipe.Steps, time);
        if (folder.Newest is { } newest) progress.Say($"Going on from step {newest.Step}.");
        var secret = RandomNumberGenerator.GetBytes(32);
        var built = model(recipe);
        folder.StartRecord(time.GetUtcNow(), progress.Say, recipe, built.Tensors);
        await using var coordinator = Coordinator.Start(new CoordinatorOptions
        {
            Recipe = recipe,
            ParameterCount = built.ParameterCount,
            Secret = secret,
            ResumeFrom = folder.Newest,
            Time = time,
            Event = happened =>
            {
                folder.Record(happened, recipe.Digest);
                if (happened is not WorkerJoined) progress.Show(happened);
            },
        });
        using var stopWorker = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var scratch = Path.Combine(folder.Path, "scratch");
        var worker = Worker.RunAsync(
            new WorkerOptions
            {
                Name = "worker",
                Coordinator = coordinator.EndPoint,
                Secret = secret,
                Recipe = recipe,
                Model = _ => built,
                Store = folder.Store,
                ScratchFolder = scratch,
                Log = progress.Say,
                Time = time,
            },
            stopWorker.Token);
        try
        {
            // The worker first: when it fails, only it knows why.
            await worker.ConfigureAwait(false);
            await coordinator.Completion.ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            progress.End();
            talk.WriteLine(folder.Newest is { } reached ? $"Stopped. Start it again to go on from step {reached.Step}." : "Stopped before the first checkpoint.");
            throw;
        }
        finally
        {
            progress.End();
            if (Directory.Exists(scratch)) Directory.Delete(scratch, recursive: true);
        }
    }
}
