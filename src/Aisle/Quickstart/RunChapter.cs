using System.Diagnostics;
using System.Text.Json.Nodes;
using Aisle.Api;
using Aisle.Artifacts;
using Aisle.Terminal;
using Spectre.Console;

namespace Aisle.Quickstart;

/// <summary>What the run made, and what its steps prove.</summary>
internal sealed record Trained(string Job, Digest Model, Digest Evaluation, StepRecord Steps, long KilledAtStep, TimeSpan Took);

/// <summary>The example spec runs: text is extracted, cleaned, made unique, tokenized; a model learns it; on the way a worker is killed.</summary>
internal sealed class RunChapter(Narrator narrator, AisleClient client, ExampleSpec spec, QuickstartOptions options, TimeProvider time)
{
    /// <summary>Share of the steps after which the worker is killed: late enough to hurt, early enough to see its replacement work.</summary>
    private const double KillAt = 0.5;

    private readonly StepRecord _steps = new();
    private long? _killedAtStep;

    private RunRequest Request => new(spec.Text, options.Quick ? ExampleSpec.QuickSets : [], options.Workers);

    public async Task<Trained> TellAsync(CancellationToken cancellationToken)
    {
        narrator.Typed(Command);
        var start = narrator.Elapsed;
        var job = (await client.RunAsync(Request, cancellationToken)).Job;
        var run = new RunProgress(job, spec.Name);
        await narrator.FollowAsync(client, job, run, e => WatchAsync(job, e, cancellationToken), cancellationToken);
        if (run.Root.State != "succeeded")
            throw new CheckFailedException($"The run {job} {run.Root.State}{(run.Root.Error is null ? "." : $": {run.Root.Error}")}", "Its log is above; `aisle doctor` looks at this machine.");
        var trained = new Trained(job, Output(run, "model"), Output(run, "evaluation"), _steps, _killedAtStep ?? throw NotKilled(), narrator.Elapsed - start);
        Conclude(run);
        return trained;
    }

    /// <summary>Runs the same spec again: every result is known.</summary>
    public async Task<TimeSpan> TellAgainAsync(Trained trained, CancellationToken cancellationToken)
    {
        narrator.Typed(Command);
        var start = narrator.Elapsed;
        var job = (await client.RunAsync(Request, cancellationToken)).Job;
        var run = new RunProgress(job, spec.Name);
        await narrator.FollowAsync(client, job, run, seen: null, cancellationToken);
        var took = narrator.Elapsed - start;
        if (run.Root.State != "succeeded" || Output(run, "model") != trained.Model)
            throw new CheckFailedException($"The same run again ({job}) {run.Root.State} with another model.", "Compare the two with `aisle show`.");
        var view = await client.JobAsync(job, cancellationToken);
        var worked = view.FromCache ? [] : new List<string>();
        foreach (var child in view.FromCache ? [] : view.Children)
            if (await client.JobAsync(child, cancellationToken) is { FromCache: false } computed) worked.Add(computed.Title);
        if (worked.Count > 0) throw new CheckFailedException($"The same run again computed {string.Join(", ", worked)} instead of knowing it.", "Compare the identities with `aisle show JOB`.");
        narrator.Fact($"All results were known: {Amount.Time(took)} instead of {Amount.Time(trained.Took)}, and the same model {trained.Model.Short}");
        return took;
    }

    private string Command => $"aisle run {spec.Shown} -f --workers {options.Workers}{(options.Quick ? string.Concat(ExampleSpec.QuickSets.Select(set => $" --set {set}")) : "")}";

    private async Task WatchAsync(string job, JobEvent e, CancellationToken cancellationToken)
    {
        _steps.Apply(e);
        if (e.Event != "step" || _killedAtStep is not null || _steps.Steps == 0 || _steps.Newest < KillAt * _steps.Steps) return;
        var victim = (await client.JobAsync(job, cancellationToken)).Workers.LastOrDefault(worker => worker.Job == _steps.Job && worker is { State: "running", Pid: > 0 });
        if (victim is null) return;
        Kill(victim);
    }

    // SIGKILL: the worker gets no chance to say goodbye, as when a machine loses its power.
    private void Kill(WorkerView victim)
    {
        using var process = Process.GetProcessById(victim.Pid);
        process.Kill();
        _steps.Killed(victim.Name, time.GetUtcNow());
        _killedAtStep = _steps.Newest;
        narrator.Fact($"kill -9 {victim.Pid}: worker {victim.Name} on {victim.Node} is no more, after step {_steps.Newest} of {_steps.Steps}", new Style(Color.Red));
        narrator.Event("killed", new JsonObject { ["worker"] = victim.Name, ["node"] = victim.Node, ["pid"] = victim.Pid, ["step"] = _steps.Newest });
    }

    private void Conclude(RunProgress run)
    {
        if (_steps.Lost != 0 || _steps.OutOfOrder != 0)
            throw new CheckFailedException($"{_steps.Lost} of {_steps.Steps} steps were lost and {_steps.OutOfOrder} came out of order.", $"Look at `aisle logs {run.Root.Job}`.");
        var slices = _steps.SlicesRecomputed is { } count ? $"{count} slices computed again by the others" : "nothing had to be computed again";
        var recovery = _steps.RecoverySeconds is { } seconds ? $" in {Amount.Time(TimeSpan.FromSeconds(seconds))}" : "";
        var next = _steps.NextStepSeconds is { } after ? $"; the next step was done {Amount.Time(TimeSpan.FromSeconds(after))} after the kill" : "";
        narrator.Fact($"What the kill cost: {slices}{recovery}{next}");
        narrator.Fact(_steps.Replacement is null
            ? "Training was over before a new worker was ready"
            : $"{_steps.Replacement} came in its place{(_steps.ReplacementStep is { } step ? $" at step {step}" : "")}, by itself");
        narrator.Fact($"No step was lost: {_steps.Steps} of {_steps.Steps}, each once and in order; loss {_steps.FirstLoss:0.00} to {_steps.LastLoss:0.00}", new Style(Color.Green));
    }

    private static Digest Output(RunProgress run, string port) => run.Root.Outputs.TryGetValue(port, out var digest)
        ? digest
        : throw new CheckFailedException($"The run {run.Root.Job} has no output '{port}'.", "The example spec must name it under outputs.");

    private CheckFailedException NotKilled() => new(
        $"No worker could be killed: the run made {_steps.Newest} of {_steps.Steps} steps and showed no running worker with a process id.", "Look at the logs of the nodes; `aisle show JOB` lists workers.");
}
