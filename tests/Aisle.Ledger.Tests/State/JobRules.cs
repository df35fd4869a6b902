using System.Collections.Immutable;
using static Aisle.Ledger.Tests.Make;

namespace Aisle.Ledger.Tests.State;

public sealed class JobRules
{
    private readonly LedgerState _empty = LedgerState.Empty;

    [Fact]
    public void Jobs_are_numbered_from_1_and_wait()
    {
        var state = _empty.Then(Submit("a"), out var first).Then(Submit("b", workers: 3), out var second);
        Assert.Equal(["job-1", "job-2"], [first.ToString(), second.ToString()]);
        Assert.Equal((JobState.Waiting, 3, 0), (state.Jobs[second].State, state.Jobs[second].Workers, state.Jobs[second].Attempt));
        Assert.Equal([first, second], state.Live);
    }

    [Fact]
    public void A_live_job_of_the_same_identity_parent_and_recompute_flag_is_returned()
    {
        var state = _empty.Then(Submit("pipeline"), out var parent).Then(Submit("a", parent), out var first).Then(Submit("a", parent), out var again);
        Assert.Equal(first, again);
        state = state.Then(Submit("a"), out var other).Then(Submit("a", parent, recompute: true), out var recomputed);
        Assert.Equal(4, new HashSet<JobId> { parent, first, other, recomputed }.Count);
    }

    [Fact]
    public void A_known_result_finishes_a_job_at_once()
    {
        var state = _empty.Then(Submit("a"), out var first);
        state = state.Then(Succeed(state, first, "made")).Then(Submit("a"), out var second);
        var job = state.Jobs[second];
        Assert.NotEqual(first, second);
        Assert.Equal((JobState.Succeeded, true, (DateTimeOffset?)Noon), (job.State, job.FromCache, job.FinishedAt));
        Assert.Equal(D("made"), job.Outputs["out"]);
        Assert.Empty(state.Live);
    }

    [Fact]
    public void A_known_result_is_ignored_by_a_job_that_recomputes()
    {
        var state = _empty.Then(Submit("a"), out var first);
        state = state.Then(Succeed(state, first, "made")).Then(Submit("a", recompute: true), out var second);
        Assert.Equal((JobState.Waiting, false), (state.Jobs[second].State, state.Jobs[second].FromCache));
    }

    [Fact]
    public void A_failed_job_leaves_no_result_and_runs_again_under_a_new_number()
    {
        var state = _empty.Then(Submit("a"), out var first).Then(Fail(first)).Then(Submit("a"), out var second);
        Assert.Empty(state.Results);
        Assert.Equal(JobState.Waiting, state.Jobs[second].State);
        Assert.NotEqual(first, second);
    }

    [Fact]
    public void Nonsense_is_refused_when_submitting()
    {
        _empty.Refuses(Submit("a") with { Title = "" }, LedgerCodes.CommandMalformed);
        _empty.Refuses(Submit("a") with { Title = null! }, LedgerCodes.CommandMalformed);
        _empty.Refuses(Submit("a") with { Title = "a\u0007" }, LedgerCodes.CommandMalformed);
        _empty.Refuses(Submit("a") with { Title = "\ud800" }, LedgerCodes.CommandMalformed);
        _empty.Refuses(Submit("a") with { Kind = (JobKind)9 }, LedgerCodes.CommandMalformed);
        _empty.Refuses(Submit("a", workers: 0), LedgerCodes.WorkersOutOfRange);
        _empty.Refuses(Submit("a", workers: 1025), LedgerCodes.WorkersOutOfRange);
        _empty.Refuses(Submit("a", new JobId(1)), LedgerCodes.JobNotFound);
        _empty.Refuses(null!, LedgerCodes.CommandMalformed);
    }

    [Fact]
    public void A_finished_parent_wants_nothing_more()
    {
        var state = _empty.Then(Submit("pipeline"), out var parent).Then(Cancel(parent));
        state.Refuses(Submit("a", parent), LedgerCodes.JobFinished);
    }

    [Fact]
    public void The_first_placement_starts_a_job_and_an_empty_one_lets_it_wait_again()
    {
        var later = Noon.AddMinutes(1);
        var state = _empty.Then(Submit("a"), out var id).Then(Place(id, "w1", "w2"));
        Assert.Equal((JobState.Running, 1, (DateTimeOffset?)Noon), (state.Jobs[id].State, state.Jobs[id].Attempt, state.Jobs[id].StartedAt));
        state = state.Then(Place(id, "w1", "w3"));
        Assert.Equal(1, state.Jobs[id].Attempt);
        state = state.Then(Place(id));
        Assert.Equal(JobState.Waiting, state.Jobs[id].State);
        state = state.Then(Place(id, "w4") with { At = later });
        Assert.Equal((JobState.Running, 2, (DateTimeOffset?)Noon), (state.Jobs[id].State, state.Jobs[id].Attempt, state.Jobs[id].StartedAt));
    }

    [Fact]
    public void A_process_name_is_never_used_again()
    {
        var state = _empty.Then(Submit("a"), out var id).Then(Place(id, "w1", "w2")).Then(Place(id, "w2"));
        state.Refuses(Place(id, "w1", "w2"), LedgerCodes.ProcessReused);
        state.Refuses(Place(id, "w3", "w3"), LedgerCodes.ProcessReused);
        state.Refuses(Place(id, "w3", "x3"), LedgerCodes.ProcessReused);
        Assert.Contains("takes 3", state.Refuses(Place(id, "x1"), LedgerCodes.ProcessReused).Next);
        state.Refuses(new PlaceJob(id, [new Placement("w2", "another node")]) { At = Noon }, LedgerCodes.ProcessReused);
        state.Then(Place(id, "w2", "w3"));
    }

    [Theory]
    [InlineData("", "n")]
    [InlineData("w", "n")]
    [InlineData("w0", "n")]
    [InlineData("1", "n")]
    [InlineData("w1 ", "n")]
    [InlineData("w99999999999", "n")]
    [InlineData("w1", "")]
    [InlineData(null, "n")]
    [InlineData("w1", null)]
    public void A_placement_without_a_process_number_or_a_node_is_refused(string? process, string? node)
    {
        var state = _empty.Then(Submit("a"), out var id);
        state.Refuses(new PlaceJob(id, [new Placement(process!, node!)]) { At = Noon }, LedgerCodes.PlacementMalformed);
        state.Refuses(new PlaceJob(id, [null!]) { At = Noon }, LedgerCodes.PlacementMalformed);
    }

    [Fact]
    public void A_finished_job_is_not_placed_scaled_or_cancelled()
    {
        var state = _empty.Then(Submit("a"), out var id).Then(Place(id, "w1")).Then(Fail(id));
        Assert.Empty(state.Jobs[id].Placements);
        state.Refuses(Place(id, "w2"), LedgerCodes.JobFinished);
        state.Refuses(new ScaleJob(id, 2) { At = Noon }, LedgerCodes.JobFinished);
        state.Refuses(Cancel(id), LedgerCodes.JobFinished);
        state.Refuses(Record(id, 1, "x"), LedgerCodes.JobFinished);
    }

    [Fact]
    public void A_job_wants_1_to_1024_processes()
    {
        var state = _empty.Then(Submit("a"), out var id).Then(new ScaleJob(id, 1024) { At = Noon });
        Assert.Equal(1024, state.Jobs[id].Workers);
        state.Refuses(new ScaleJob(id, 0) { At = Noon }, LedgerCodes.WorkersOutOfRange);
        state.Refuses(new ScaleJob(id, 1025) { At = Noon }, LedgerCodes.WorkersOutOfRange);
        state.Refuses(Place(id, [.. Enumerable.Range(1, 1025).Select(n => $"w{n}")]), LedgerCodes.WorkersOutOfRange);
    }

    [Fact]
    public void Checkpoints_only_go_forward()
    {
        var state = _empty.Then(Submit("a"), out var id).Then(Record(id, 10, "ten")).Then(Record(id, 20, "twenty")).Then(Record(id, 10, "ten"));
        Assert.Equal([10, 20], state.Jobs[id].Checkpoints.Select(checkpoint => checkpoint.Step));
        state.Refuses(Record(id, 15, "fifteen"), LedgerCodes.CheckpointOutOfOrder);
        state.Refuses(Record(id, -1, "x"), LedgerCodes.CheckpointOutOfOrder);
        state.Refuses(new RecordCheckpoint(id, null!) { At = Noon }, LedgerCodes.CheckpointOutOfOrder);
        state.Refuses(Record(new JobId(99), 1, "x"), LedgerCodes.JobNotFound);
    }

    [Fact]
    public void A_withdrawn_checkpoint_makes_room_for_another_of_its_step()
    {
        var state = _empty.Then(Submit("a"), out var id).Then(Record(id, 10, "ten")).Then(Record(id, 20, "spoilt"));
        state = state.Then(Withdraw(id, 20, "other")).Then(Withdraw(id, 20, "spoilt")).Then(Withdraw(id, 20, "spoilt"));
        Assert.Equal([10], state.Jobs[id].Checkpoints.Select(checkpoint => checkpoint.Step));
        Assert.Equal(D("twenty"), state.Then(Record(id, 20, "twenty")).Jobs[id].Checkpoints[^1].Digest);
        Assert.Equal(state.Jobs, state.Then(new WithdrawCheckpoint(id, null!) { At = Noon }).Jobs);
        state.Refuses(Withdraw(new JobId(99), 1, "x"), LedgerCodes.JobNotFound);
    }

    [Fact]
    public void A_step_with_two_digests_is_a_divergence()
    {
        var state = _empty.Then(Submit("a"), out var id).Then(Record(id, 10, "ten")).Then(Record(id, 20, "twenty"));
        var refused = state.Refuses(Record(id, 10, "other"), LedgerCodes.Divergence);
        Assert.Contains(D("ten").ToString(), refused.What);
        Assert.Contains(D("other").ToString(), refused.What);
    }

    [Fact]
    public void Finishing_twice_with_the_same_outcome_is_harmless_and_with_another_refused()
    {
        var state = _empty.Then(Submit("a"), out var id);
        var success = Succeed(state, id, "made");
        state = state.Then(success);
        Assert.Equal(state with { Revision = 3 }, state.Then(success));
        state.Refuses(Fail(id), LedgerCodes.JobFinished);
        state = _empty.Then(Submit("a"), out id).Then(Fail(id)).Then(Fail(id));
        state.Refuses(new FinishJob(id, JobState.Succeeded, Outputs()) { At = Noon }, LedgerCodes.JobFinished);
    }

    [Fact]
    public void The_first_result_stays_and_a_different_later_one_fails_its_job()
    {
        var state = _empty.Then(Submit("a"), out var first);
        state = state.Then(Succeed(state, first, "one")).Then(Submit("a", recompute: true), out var second);
        var command = Succeed(state, second, "two");
        var (next, answer) = state.Apply(command);
        var refused = Assert.IsType<Refused>(answer);
        Assert.Equal(LedgerCodes.Divergence, refused.Code);
        Assert.Equal(JobState.Failed, next.Jobs[second].State);
        Assert.Contains(D("one").ToString(), next.Jobs[second].Error);
        Assert.Contains(D("two").ToString(), next.Jobs[second].Error);
        Assert.Equal(D("one"), next.Results[D("a")].Outputs["out"]);
        Assert.Equal(refused, next.Refuses(command, LedgerCodes.Divergence));
    }

    [Fact]
    public void An_equal_later_result_confirms_the_first()
    {
        var state = _empty.Then(Submit("a"), out var first);
        state = state.Then(Succeed(state, first, "one")).Then(Submit("a", recompute: true), out var second);
        state = state.Then(Succeed(state, second, "one"));
        Assert.Equal(JobState.Succeeded, state.Jobs[second].State);
        Assert.Equal(first, state.Results[D("a")].ProducedBy);
    }

    [Fact]
    public void Counts_that_do_not_add_up_are_refused()
    {
        var state = _empty.Then(Submit("a"), out var id);
        state.Refuses(Succeed(state, id, "x", new RecordCounts(10, 5, 3, 1)), LedgerCodes.CountsDoNotAddUp);
        state.Refuses(Succeed(state, id, "x", new RecordCounts(-1, -1, 0, 0)), LedgerCodes.CountsDoNotAddUp);
        // Wraps round to 2 in 64 bits.
        state.Refuses(Succeed(state, id, "x", new RecordCounts(2, long.MaxValue, long.MaxValue, 4)), LedgerCodes.CountsDoNotAddUp);
        state.Then(Succeed(state, id, "x", new RecordCounts(10, 5, 3, 2)));
    }

    [Fact]
    public void A_result_that_is_not_the_jobs_own_is_refused()
    {
        var state = _empty.Then(Submit("a"), out var id);
        var good = Succeed(state, id, "x");
        state.Refuses(good with { Result = good.Result! with { Identity = D("b") } }, LedgerCodes.ResultMalformed);
        state.Refuses(good with { Result = good.Result! with { ProducedBy = new JobId(9) } }, LedgerCodes.ResultMalformed);
        state.Refuses(good with { Result = good.Result! with { Spec = D("b") } }, LedgerCodes.ResultMalformed);
        state.Refuses(good with { Result = good.Result! with { Outputs = Outputs() } }, LedgerCodes.ResultMalformed);
        state.Refuses(good with { Result = good.Result! with { Title = "" } }, LedgerCodes.ResultMalformed);
        state.Refuses(good with { Result = good.Result! with { Checkpoints = [new(2, D("x")), new(2, D("x"))] } }, LedgerCodes.ResultMalformed);
        state.Refuses(good with { State = JobState.Failed }, LedgerCodes.ResultMalformed);
        state.Refuses(good with { State = JobState.Running }, LedgerCodes.CommandMalformed);
        state.Refuses(good with { Outputs = Outputs(("", "x")) }, LedgerCodes.ResultMalformed);
        state.Refuses(good with { Job = new JobId(9) }, LedgerCodes.JobNotFound);
    }

    [Fact]
    public void The_error_that_is_kept_is_bounded_and_no_character_is_halved()
    {
        var state = _empty.Then(Submit("a"), out var id).Then(Fail(id, new string('x', LedgerState.MaxErrorLength - 1) + "😀 and more"));
        Assert.Equal(new string('x', LedgerState.MaxErrorLength - 1), state.Jobs[id].Error);
    }

    [Fact]
    public void Cancelling_cancels_everything_the_job_wanted()
    {
        var state = _empty.Then(Submit("pipeline"), out var pipeline).Then(Submit("a", pipeline), out var child).Then(Submit("b", child), out var grandchild)
            .Then(Submit("c"), out var other).Then(Submit("d", pipeline), out var done).Then(Fail(done)).Then(Cancel(pipeline)).Then(Cancel(pipeline));
        Assert.Equal([JobState.Cancelled, JobState.Cancelled, JobState.Cancelled, JobState.Waiting, JobState.Failed],
            new[] { pipeline, child, grandchild, other, done }.Select(id => state.Jobs[id].State));
        Assert.Equal([other], state.Live);
        state.Refuses(Cancel(new JobId(99)), LedgerCodes.JobNotFound);
    }

    [Fact]
    public void A_job_that_ends_takes_along_what_it_still_wanted()
    {
        var state = _empty.Then(Submit("pipeline"), out var pipeline).Then(Submit("a", pipeline), out var child).Then(Fail(pipeline));
        Assert.Equal(JobState.Cancelled, state.Jobs[child].State);
    }

    [Fact]
    public void The_oldest_finished_jobs_are_forgotten_their_results_and_numbers_are_not()
    {
        var state = _empty.Then(Submit("kept"), out var first);
        state = state.Then(Succeed(state, first, "made"));
        for (var i = 0; i < LedgerState.FinishedJobsKept; i++) state = state.Then(Submit("kept"));
        Assert.Equal(LedgerState.FinishedJobsKept, state.Jobs.Count);
        Assert.False(state.Jobs.ContainsKey(first));
        Assert.True(state.Results.ContainsKey(D("kept")));
        state.Then(Submit("new"), out var next);
        Assert.Equal(LedgerState.FinishedJobsKept + 2, next.Number);
    }

    [Fact]
    public void The_producer_of_an_output_is_the_result_that_had_it_first()
    {
        var state = _empty.Then(Submit("a"), out var first).Then(Submit("b"), out var second);
        state = state.Then(Succeed(state, second, "made"));
        state = state.Then(Succeed(state, first, "made"));
        Assert.Equal(second, state.ProducerOf(D("made"))!.ProducedBy);
        Assert.Null(state.ProducerOf(D("input")));
    }

    [Fact]
    public void Maps_sort_by_ordinal_text_whatever_comparer_they_came_with()
    {
        var state = _empty.Then(Submit("a"), out var id);
        var outputs = new[] { "a", "B" }.ToImmutableSortedDictionary(port => port, D, StringComparer.OrdinalIgnoreCase);
        state = state.Then(new FinishJob(id, JobState.Succeeded, outputs) { At = Noon });
        Assert.Equal(["B", "a"], state.Jobs[id].Outputs.Keys);
    }
}
