using System.Collections.Immutable;
using Aisle.Artifacts;

namespace Aisle.Ledger.Tests;

/// <summary>Short ways to write commands and to read what they did.</summary>
internal static class Make
{
    public static DateTimeOffset Noon { get; } = new(2026, 3, 1, 12, 0, 0, TimeSpan.Zero);

    public static Digest D(string text) => Digest.Of(text);

    public static MoveName Move(string name, string content, int? expected = null) => new(name, D(content), Expected: expected) { At = Noon };

    public static SetAlias Alias(string name, string alias, string content) => new(name, alias, D(content)) { At = Noon };

    public static SubmitJob Submit(string identity, JobId? parent = null, JobKind kind = JobKind.Task, bool recompute = false, int workers = 1) =>
        new(kind, "title", D("spec " + identity), D(identity), parent, workers, recompute) { At = Noon };

    public static PlaceJob Place(JobId job, params string[] processes) =>
        new(job, [.. processes.Select(process => new Placement(process, "node-" + process))]) { At = Noon };

    public static WithdrawCheckpoint Withdraw(JobId job, long step, string content) => new(job, new Checkpoint(step, D(content))) { At = Noon };

    public static RecordCheckpoint Record(JobId job, long step, string content) => new(job, new Checkpoint(step, D(content))) { At = Noon };

    public static FinishJob Fail(JobId job, string error = "broke") => new(job, JobState.Failed, Outputs(), error) { At = Noon };

    public static CancelJob Cancel(JobId job) => new(job) { At = Noon };

    public static DeployEndpoint Deploy(string name, string model, int replicas = 1) =>
        new(name, D(model), "models/x@1", replicas, D("spec " + model), D("serve " + model)) { At = Noon };

    /// <summary>A success of <paramref name="job"/> with the one output <c>out</c>.</summary>
    public static FinishJob Succeed(LedgerState state, JobId job, string output, RecordCounts? counts = null)
    {
        var outputs = Outputs(("out", output));
        var result = new JobResult
        {
            Identity = state.Jobs[job].Identity,
            Title = "title",
            Spec = state.Jobs[job].Spec,
            Kind = state.Jobs[job].Kind,
            Inputs = Outputs(("in", "input")),
            Outputs = outputs,
            Counts = counts,
            ProducedBy = job,
        };
        return new FinishJob(job, JobState.Succeeded, outputs, Result: result) { At = Noon };
    }

    public static ImmutableSortedDictionary<string, Digest> Outputs(params (string Port, string Content)[] ports) =>
        ports.ToImmutableSortedDictionary(port => port.Port, port => D(port.Content));

    /// <summary>Applies a command that must be accepted.</summary>
    public static LedgerState Then(this LedgerState state, LedgerCommand command)
    {
        var (next, answer) = state.Apply(command);
        Assert.False(answer is Refused, $"{command} was refused: {answer}");
        return next;
    }

    /// <summary>Applies a submission or deployment and gives the job's id.</summary>
    public static LedgerState Then(this LedgerState state, LedgerCommand command, out JobId job)
    {
        var (next, answer) = state.Apply(command);
        job = Assert.IsType<JobAccepted>(answer).Job;
        return next;
    }

    /// <summary>Applies a command that must be refused with <paramref name="code"/> and must change nothing but the revision.</summary>
    public static Refused Refuses(this LedgerState state, LedgerCommand command, string code)
    {
        var (next, answer) = state.Apply(command);
        var refused = Assert.IsType<Refused>(answer);
        Assert.Equal(code, refused.Code);
        Assert.NotEmpty(refused.What);
        Assert.NotEmpty(refused.Next);
        Assert.Equal(state with { Revision = state.Revision + 1 }, next);
        return refused;
    }

    /// <summary>The state as text: equal text, equal state.</summary>
    public static string Text(this LedgerState state) => System.Text.Encoding.UTF8.GetString(LedgerCodec.Write(state));
}
