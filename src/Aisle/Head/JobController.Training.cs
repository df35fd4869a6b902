using System.Collections.Concurrent;
using System.Collections.Immutable;
using Aisle.Artifacts;
using Aisle.Ledger;
using Aisle.Pipelines;
using Aisle.Tensors;
using Aisle.Training;
using Aisle.Training.LanguageModels;

namespace Aisle.Head;

/// <summary>Training jobs: each has a coordinator here while it runs, and workers wherever they are placed.</summary>
internal sealed partial class JobController
{
    private readonly ConcurrentDictionary<JobId, TrainingRun> _training = new();

    /// <summary>Workers that failed in a row, without a step between them, before the job does: what they fail at is then the job's own fault.</summary>
    private const int MostWorkerFailures = 4;
    private readonly Dictionary<JobId, (long? Step, int Failures)> _workerFailures = [];

    /// <summary>A worker that fails is replaced, as one that dies is; only when they all fail is the job to blame.</summary>
    private async Task HearWorkerFailureAsync(Job job, string worker, string why, CancellationToken cancellationToken)
    {
        events.Add(job, Event(job, "log") with { Worker = worker, Message = why });
        // Its coordinator is gone because this process was restarted, or because the job is over: nothing is wrong with the worker or the job.
        // A worker that was shut out for computing wrongly has been told of already, and its node is avoided.
        if (job.IsFinished || why.Contains(CoordinatorGone, StringComparison.Ordinal) || why.Contains(Quarantined, StringComparison.Ordinal)) return;
        var step = events.LastStep(job.Id)?.Step;
        var failures = _workerFailures.TryGetValue(job.Id, out var before) && before.Step == step ? before.Failures + 1 : 1;
        _workerFailures[job.Id] = (step, failures);
        if (failures >= MostWorkerFailures) await FailAsync(job, $"{failures} workers failed in a row, the last with: {why}", cancellationToken);
    }

    private const string CoordinatorGone = "AISLE-5128";
    private const string Quarantined = "AISLE-5190";
    private readonly Dictionary<(JobId, string), string> _placedOn = []; // worker → its node, for as long as its run
    private readonly Dictionary<JobId, HashSet<string>> _shunned = []; // nodes on which a worker of the job computed wrongly

    private void Shun(Job job, string worker)
    {
        var node = job.Placements.FirstOrDefault(placement => placement.Process == worker)?.Node ?? _placedOn.GetValueOrDefault((job.Id, worker));
        if (node is null) return;
        if (!_shunned.TryGetValue(job.Id, out var nodes)) _shunned.Add(job.Id, nodes = new HashSet<string>(StringComparer.Ordinal));
        if (!nodes.Add(node)) return;
        (CoordinatorSeat.Of(RecordFolder(job.Id)) with { Shunned = [.. nodes] }).Keep(RecordFolder(job.Id));
        events.Add(job, Event(job, "log") with { Worker = worker, Node = node, Message = $"no new worker of this job is put on node {node} while another has room: run `aisle doctor` there" });
    }

    private async Task AdvanceTrainingAsync(CancellationToken cancellationToken)
    {
        foreach (var job in ledger.State.Jobs.Values)
        {
            if (job.Kind != JobKind.Train || job.IsFinished || job.Placements.IsEmpty || _training.ContainsKey(job.Id)) continue;
            var spec = await SpecOfAsync(job, cancellationToken);
            if (CoordinatorSeat.Of(RecordFolder(job.Id)).Shunned is { Count: > 0 } shunned) _shunned[job.Id] = new HashSet<string>(shunned, StringComparer.Ordinal);
            // The newest checkpoint that is agreed on; after a restart of this process the run goes on from there, to the same bits.
            var from = job.Checkpoints.IsEmpty ? TrainingStretch.Of(spec) : job.Checkpoints[^1];
            var audit = await AuditOfAsync(job, cancellationToken);
            if (ProgramCatalogue.Find(spec.Program)?.Name == ProgramCatalogue.TrainProgram)
            {
                _training[job.Id] = TrainingRun.Start(job, recipe: null, parameterCount: null, from, TrainingStretch.StopOf(spec), audit, events, RecordFolder(job.Id), time, Wake);
                continue;
            }
            var frozen = spec.Inputs.TryGetValue("model", out var model) ? await artifacts.ReadEntryAsync(model, "config.json", cancellationToken: cancellationToken) : default;
            var tokens = TokensDescription.Parse(await artifacts.ReadEntryAsync(spec.Inputs["tokens"], TokensDescription.FileName, cancellationToken: cancellationToken));
            try
            {
                var recipe = TrainingRecipe.FromParameters(TrainingStretch.RecipeOf(spec), spec.Seed);
                var parameters = frozen.IsEmpty
                    ? (int)LanguageModelTraining.ConfigOf(recipe, tokens).ParameterCount
                    : LanguageModelFineTuning.CountParameters(recipe, LanguageModelConfig.Parse(frozen));
                _training[job.Id] = TrainingRun.Start(job, recipe, parameters, from, TrainingStretch.StopOf(spec), audit, events, RecordFolder(job.Id), time, Wake);
            }
            catch (AisleException e)
            {
                await FailAsync(job, e.Message, cancellationToken);
            }
        }

        foreach (var (id, run) in _training)
        {
            if (!ledger.State.Jobs.TryGetValue(id, out var job) || job.IsFinished)
            {
                _training.TryRemove(id, out _);
                _shunned.Remove(id);
                foreach (var key in _placedOn.Keys.Where(key => key.Item1 == id).ToList()) _placedOn.Remove(key);
                await run.DisposeAsync();
                // Its log has it by now; of a cancelled run nothing is kept.
                DeleteRecord(id);
                continue;
            }
            foreach (var worker in run.TakeQuarantined()) Shun(job, worker);
            foreach (var (checkpoint, isWithdrawn) in run.TakeCheckpoints())
            {
                var at = time.GetUtcNow();
                await ledger.AgreeAsync(isWithdrawn ? new WithdrawCheckpoint(id, checkpoint) { At = at } : new RecordCheckpoint(id, checkpoint) { At = at }, cancellationToken);
            }
            if (!run.Outcome.IsCompleted) continue;

            job = ledger.State.Jobs[id];
            try
            {
                var outcome = await run.Outcome;
                var outputs = ImmutableSortedDictionary.Create<string, Digest>(StringComparer.Ordinal);
                outputs = outcome.Model is { } model ? outputs.Add("model", model) : outputs.Add(TrainingStretch.StatePort, outcome.Checkpoints[^1].Digest);
                await FinishAsync(job, JobState.Succeeded, outputs, null, await SpecOfAsync(job, cancellationToken), null, cancellationToken);
            }
            catch (AisleException e)
            {
                await FailAsync(job, e.Message, cancellationToken);
            }
        }
    }

    /// <summary>What the pipeline that wants the job says of audits: like the number of workers it belongs to who wants the job, not to what the job is.</summary>
    private async Task<double?> AuditOfAsync(Job job, CancellationToken cancellationToken)
    {
        if (job.Parent is not { } parent || !ledger.State.Jobs.TryGetValue(parent, out var pipeline)) return null;
        var spec = (await RunOfAsync(pipeline, cancellationToken)).Plan().Spec;
        return spec.Steps.FirstOrDefault(step => step.Name == StepOf(job, spec))?.Audit?.Value;
    }
}
