using Aisle.Artifacts;
using Aisle.Ledger;
using Aisle.Monitoring;

namespace Aisle.Head;

/// <summary>What is kept of a job beside its outputs: its events and, of a training run, its steps and time line. Together they are its log artifact.</summary>
internal sealed partial class JobController
{
    private const int MostRecordBytes = 64 << 20;

    /// <summary>The step log of a training job, or of the one that made a known result; a pipeline's is that of its training step.</summary>
    /// <exception cref="AisleException">AISLE-3032: nothing is kept of it.</exception>
    public async Task<ReadOnlyMemory<byte>> StepsAsync(Job job, CancellationToken cancellationToken) =>
        RunOf(job, out var trained) is { } run ? run.Record.Steps() : await ReadRecordAsync(trained, StepLogFile.Name, cancellationToken);

    /// <summary>The time line of a training job, found as <see cref="StepsAsync"/> does, in JSON.</summary>
    /// <exception cref="AisleException">AISLE-3032: nothing is kept of it.</exception>
    public async Task<ReadOnlyMemory<byte>> TimeLineAsync(Job job, CancellationToken cancellationToken) =>
        RunOf(job, out var trained) is { } run ? run.Record.TimeLine().ToJson() : await ReadRecordAsync(trained, TimeLineSnapshot.Name, cancellationToken);

    /// <summary>The job that did the training that this one stands for.</summary>
    /// <exception cref="AisleException">AISLE-3032: it trains nothing.</exception>
    private Job TrainingOf(Job job)
    {
        var state = ledger.State;
        var trained = job.Kind == JobKind.Pipeline ? state.Jobs.Values.LastOrDefault(child => child.Parent == job.Id && child.Kind == JobKind.Train) : job.Kind == JobKind.Train ? job : null;
        if (trained is { FromCache: true } && state.Results.TryGetValue(trained.Identity, out var result) && state.Jobs.TryGetValue(result.ProducedBy, out var producer)) trained = producer;
        return trained ?? throw new AisleException("AISLE-3032", $"{job.Id} ({job.Title}) trains nothing, or has not begun to.", "Name a training job, or a pipeline with a training step; `aisle jobs --all` lists them.");
    }

    private TrainingRun? RunOf(Job job, out Job trained)
    {
        trained = TrainingOf(job);
        return _training.GetValueOrDefault(trained.Id);
    }

    private async Task<ReadOnlyMemory<byte>> ReadRecordAsync(Job trained, string entry, CancellationToken cancellationToken)
    {
        if (trained.Log is { } log)
        {
            try
            {
                return await artifacts.ReadEntryAsync(log, entry, MostRecordBytes, cancellationToken);
            }
            catch (AisleException e) when (e.Code == NoSuchEntry)
            {
                // Said below.
            }
        }
        throw new AisleException(
            "AISLE-3032", $"{trained.Id} ({trained.Title}) has no record of its steps: it has not begun, or was cancelled.", "Name a run that has made steps; `aisle jobs --all` lists them.");
    }

    private const string NoSuchEntry = "AISLE-1010";

    private async Task<Digest> PutLogAsync(Job job, CancellationToken cancellationToken)
    {
        if (!_training.TryGetValue(job.Id, out var run))
            return (await artifacts.PutBytesAsync("events.ndjson", events.ToNdjson(job.Id), cancellationToken: cancellationToken)).Digest;
        var folder = Directory.CreateDirectory(Path.Combine(recordsDir, $"{job.Id}.log")).FullName;
        try
        {
            await File.WriteAllBytesAsync(Path.Combine(folder, "events.ndjson"), events.ToNdjson(job.Id), cancellationToken);
            await File.WriteAllBytesAsync(Path.Combine(folder, StepLogFile.Name), run.Record.Steps(), cancellationToken);
            await File.WriteAllBytesAsync(Path.Combine(folder, TimeLineSnapshot.Name), run.Record.TimeLine().ToJson(), cancellationToken);
            return (await artifacts.PutAsync(folder, cancellationToken: cancellationToken)).Digest;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private string RecordFolder(JobId job) => Path.Combine(recordsDir, job.ToString());

    private void DeleteRecord(JobId job)
    {
        if (Directory.Exists(RecordFolder(job))) Directory.Delete(RecordFolder(job), recursive: true);
    }
}
