using Aisle.Artifacts;
using Aisle.Training.Checkpoints;
using Aisle.Training.Collectives;

namespace Aisle.Training.Programs;

/// <summary>A program as one of the ranks that <c>mpirun</c> started. Rank 0 has the folder and talks; the others read states from it, so all of them must see it.</summary>
internal sealed class WorldRun(ProgramArguments arguments, WorldEnvironment world, TrainingRecipe recipe, Func<TrainingRecipe, ITrainable> model, TextWriter output, TextWriter talk, TimeProvider time)
{
    /// <exception cref="AisleException">The run failed; the message says why. End the process with an exit code other than 0: <c>mpirun</c> then ends the other ranks.</exception>
    public void Run(CancellationToken cancellationToken)
    {
        if (world.Rank == 0) Lead(cancellationToken);
        else Follow(cancellationToken);
    }

    private void Lead(CancellationToken cancellationToken)
    {
        using var folder = RunFolder.Open(arguments.Folder, arguments.Fresh);
        folder.Expect(recipe.Digest);
        if (folder.Model is not null) talk.WriteLine("This run is finished already; --fresh starts it anew.");
        else Train(folder, cancellationToken);
        ModelReport.Write(folder, output, talk);
    }

    private void Train(RunFolder folder, CancellationToken cancellationToken)
    {
        // A terminal that mpirun lends is not one that a person sees.
        var progress = new ProgressLines(talk, isTerminal: false, () => recipe.Steps, time);
        folder.StartRecord(time.GetUtcNow(), progress.Say, recipe, []);
        if (folder.Newest is { } newest) progress.Say($"Going on from step {newest.Step}.");
        Train(folder.Newest, folder.Store, Tell, cancellationToken);
        progress.End();
        Directory.Delete(Scratch, recursive: true);

        void Tell(TrainingEvent happened)
        {
            folder.Record(happened, recipe.Digest);
            progress.Show(happened);
        }
    }

    private void Follow(CancellationToken cancellationToken)
    {
        var (newest, finished, store) = RunFolder.Look(arguments.Folder, arguments.Fresh);
        if (finished is null) Train(newest, store, null, cancellationToken);
    }

    private string Scratch => Path.Combine(arguments.Folder, "scratch");

    private void Train((long, Digest)? from, ICheckpointStore store, Action<TrainingEvent>? tell, CancellationToken cancellationToken) => FixedWorld.Train(
        new FixedWorldOptions
        {
            Recipe = recipe,
            Model = model,
            Sum = world.ByNccl ? ByNccl : shape => MpiSum.Open(shape, world.Ranks),
            Store = store,
            ScratchFolder = Scratch,
            ResumeFrom = from,
            Event = tell,
            Time = time,
        },
        cancellationToken);

    private IGradientSum ByNccl(GradientShape shape)
    {
        Directory.CreateDirectory(arguments.Folder);
        return NcclSum.Open(
            shape, new NcclPlace { Rank = world.Rank, Ranks = world.Ranks, Device = world.RankOnMachine, IdFile = Path.Combine(arguments.Folder, $".nccl-{world.Job}") }, time);
    }
}
