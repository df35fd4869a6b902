using static Aisle.Ledger.Tests.Make;

namespace Aisle.Ledger.Tests.State;

public sealed class EndpointRules
{
    private readonly LedgerState _empty = LedgerState.Empty;

    [Fact]
    public void Deploying_wants_a_serve_job()
    {
        var state = _empty.Then(Deploy("chat", "m", replicas: 2), out var job);
        Assert.Equal(new ModelEndpoint("chat", D("m"), "models/x@1", 2, job), state.Endpoints["chat"]);
        Assert.Equal((JobKind.Serve, "serve/chat", 2), (state.Jobs[job].Kind, state.Jobs[job].Title, state.Jobs[job].Workers));
    }

    [Fact]
    public void Deploying_another_model_replaces_the_endpoint_and_cancels_its_old_job()
    {
        var state = _empty.Then(Deploy("chat", "one"), out var old).Then(Deploy("chat", "two"), out var job);
        Assert.Equal(JobState.Cancelled, state.Jobs[old].State);
        Assert.Equal(job, state.Endpoints["chat"].Job);
        Assert.Equal([job], state.Live);
    }

    [Fact]
    public void Deploying_the_same_again_goes_on_serving()
    {
        var state = _empty.Then(Deploy("chat", "one"), out var job).Then(Deploy("chat", "one"), out var again);
        Assert.Equal(job, again);
        state.Then(Fail(job)).Then(Deploy("chat", "one"), out var anew);
        Assert.NotEqual(job, anew);
    }

    [Fact]
    public void Removing_cancels_the_job()
    {
        var state = _empty.Then(Deploy("chat", "one"), out var job).Then(new RemoveEndpoint("chat") { At = Noon });
        Assert.Empty(state.Endpoints);
        Assert.Equal(JobState.Cancelled, state.Jobs[job].State);
        state.Refuses(new RemoveEndpoint("chat") { At = Noon }, LedgerCodes.EndpointNotFound);
        state.Refuses(new RemoveEndpoint(null!) { At = Noon }, LedgerCodes.EndpointNotFound);
    }

    [Fact]
    public void Scaling_the_job_scales_the_endpoint()
    {
        var state = _empty.Then(Deploy("chat", "one"), out var job).Then(new ScaleJob(job, 5) { At = Noon });
        Assert.Equal(5, state.Endpoints["chat"].Replicas);
    }

    [Fact]
    public void Nonsense_is_refused()
    {
        _empty.Refuses(Deploy("a/b", "m"), LedgerCodes.NameMalformed);
        _empty.Refuses(Deploy(null!, "m"), LedgerCodes.NameMalformed);
        _empty.Refuses(Deploy("chat", "m", replicas: 0), LedgerCodes.WorkersOutOfRange);
        _empty.Refuses(Deploy("chat", "m") with { ModelName = "" }, LedgerCodes.CommandMalformed);
    }

    [Fact]
    public void The_job_an_endpoint_shows_is_never_forgotten()
    {
        var state = _empty.Then(Deploy("chat", "one"), out var job).Then(Fail(job)).Then(Submit("kept"), out var first);
        state = state.Then(Succeed(state, first, "made"));
        for (var i = 0; i < LedgerState.FinishedJobsKept; i++) state = state.Then(Submit("kept"));
        Assert.True(state.Jobs.ContainsKey(job));
        Assert.Equal(LedgerState.FinishedJobsKept, state.Jobs.Count);
    }
}
