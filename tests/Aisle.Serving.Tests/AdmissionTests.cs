namespace Aisle.Serving.Tests;

public sealed class AdmissionTests
{
    [Fact]
    public async Task As_many_run_as_there_are_slots_as_many_wait_as_may_and_the_rest_are_turned_away()
    {
        using var admission = new Admission(running: 2, waiting: 1);
        using var first = await admission.EnterAsync(default);
        using var second = await admission.EnterAsync(default);
        var third = admission.EnterAsync(default);
        Assert.False(third.IsCompleted);
        Assert.Null(await admission.EnterAsync(default));
        first!.Dispose();
        first.Dispose();   // twice frees one place, not two
        using var admitted = await third;
        Assert.NotNull(admitted);
        Assert.Equal(2, admission.Inside);
    }

    [Fact]
    public async Task Whoever_gives_up_waiting_leaves_a_free_place()
    {
        using var admission = new Admission(running: 1, waiting: 1);
        using var running = await admission.EnterAsync(default);
        using var patience = new CancellationTokenSource();
        var waiting = admission.EnterAsync(patience.Token);
        await patience.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        Assert.Equal(1, admission.Inside);
        var next = admission.EnterAsync(default);
        running!.Dispose();
        using var admitted = await next;
        Assert.NotNull(admitted);
    }
}
