using System.Net;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Aisle.Training.Programs;

/// <summary>
/// A user's training program: trains alone when a person starts it, and works for a run when <c>aisle launch</c> or a cluster does, or is one
/// rank of a fixed world when <c>mpirun</c> does. The model's digest is the
/// same either way.
/// </summary>
public static class TrainingProgram
{
    /// <summary>The whole of a program's <c>Main</c>. Prints what happens to standard error, and the model's digest, when this program owns the run, to standard output.</summary>
    /// <param name="args">The program's arguments, without those of its own; <c>--help</c> lists what they may be.</param>
    /// <param name="model">Builds the model with its data; called once.</param>
    /// <returns>The process's exit code: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C.</returns>
    public static async Task<int> RunAsync(string[] args, TrainingRecipe recipe, Func<TrainingRecipe, ITrainable> model)
    {
        using var stop = new CancellationTokenSource();
        void OnSignal(PosixSignalContext signal)
        {
            signal.Cancel = true;
            if (stop.IsCancellationRequested && signal.Signal == PosixSignal.SIGINT) Environment.Exit(130); // asked twice: at once
            stop.Cancel();
        }
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
        try
        {
            var arguments = ProgramArguments.Parse(args);
            if (arguments.Help)
            {
                Console.Out.WriteLine(ProgramArguments.HelpText);
                return 0;
            }
            if (RunEnvironment.Read(Environment.GetEnvironmentVariable) is { } environment)
            {
                await WorkAsync(environment, recipe, model, stop).ConfigureAwait(false);
                return 0;
            }
            if (WorldEnvironment.Read(Environment.GetEnvironmentVariable) is { } world)
            {
                new WorldRun(arguments, world, recipe, model, Console.Out, Console.Error, TimeProvider.System).Run(stop.Token);
                return 0;
            }
            await new LoneRun(arguments, recipe, model, Console.Out, Console.Error, TimeProvider.System).RunAsync(stop.Token).ConfigureAwait(false);
            return 0;
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            return 130;
        }
        catch (AisleException e)
        {
            Console.Error.WriteLine($"error {e.Code}: {e.What}\nnext: {e.Next}");
            return e.Code == "AISLE-5173" ? 2 : 1;
        }
    }

    private static async Task WorkAsync(RunEnvironment environment, TrainingRecipe recipe, Func<TrainingRecipe, ITrainable> model, CancellationTokenSource stop)
    {
        // Whoever started this program holds the other end of its input and never writes: the end means that it is gone, or wants this worker to leave.
        new Thread(() => WaitForEnd(stop)) { IsBackground = true, Name = "starter watch" }.Start();
        await Worker.RunAsync(
            new WorkerOptions
            {
                Name = environment.WorkerName,
                Coordinator = environment.Coordinator,
                Secret = environment.ReadSecret(),
                Recipe = recipe,
                Model = model,
                Store = environment.OpenStore(),
                ScratchFolder = environment.Scratch,
                Listen = new IPEndPoint(IPAddress.IsLoopback(environment.Coordinator.Address) ? IPAddress.Loopback : IPAddress.Any, 0),
                Log = Console.Error.WriteLine,
            },
            stop.Token).ConfigureAwait(false);
    }

    private static void WaitForEnd(CancellationTokenSource stop)
    {
        try
        {
            using var input = Console.OpenStandardInput();
            var ignored = new byte[256];
            while (input.Read(ignored) > 0)
            {
            }
        }
        catch (IOException)
        {
            // A broken pipe says the same as its end.
        }
        try
        {
            stop.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // The program has ended already.
        }
    }
}
