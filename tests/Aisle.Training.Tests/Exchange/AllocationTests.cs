using Aisle.Training.Exchange;

namespace Aisle.Training.Tests.Exchange;

/// <summary>Runs alone: it counts what the whole process allocates.</summary>
[CollectionDefinition(nameof(AllocationTests), DisableParallelization = true)]
[Collection(nameof(AllocationTests))]
public sealed class AllocationTests(ITestOutputHelper output)
{
    private const int BytesAllowedPerSum = 400; // the step's plan, and nothing that grows with the numbers

    [Theory]
    [InlineData(ExchangeTransport.Automatic)]
    [InlineData(ExchangeTransport.Sockets)]
    [InlineData(ExchangeTransport.Tcp)]
    public async Task Sum_after_sum_allocates_nothing_that_grows_with_the_numbers(ExchangeTransport transport)
    {
        const int ranks = 3, warmUp = 60, sums = 200, elements = 1 << 18;
        GradientExchange[] exchanges = [.. Enumerable.Range(0, ranks).Select(rank => new GradientExchange(rank, ranks, elements, [1], transport: transport))];
        foreach (var exchange in exchanges) exchange.Connect([.. exchanges.Select(one => one.EndPoint)]);
        using var together = new Barrier(ranks + 1);
        var running = Task.WhenAll(exchanges.Select(exchange => Task.Factory.StartNew(() => Run(exchange), TaskCreationOptions.LongRunning)));
        together.SignalAndWait();
        var before = GC.GetTotalAllocatedBytes(precise: true);
        together.SignalAndWait();
        together.SignalAndWait();
        var allocated = GC.GetTotalAllocatedBytes(precise: true) - before;
        await running;
        foreach (var exchange in exchanges) exchange.Dispose();
        output.WriteLine($"{transport}: {(double)allocated / sums / ranks:0.0} bytes a sum and rank");
        Assert.True(allocated <= BytesAllowedPerSum * sums * ranks, $"{allocated} bytes in {sums} sums of {ranks} ranks.");

        void Run(GradientExchange exchange)
        {
            for (var i = 0; i < warmUp; i++) exchange.AllReduce();
            together.SignalAndWait();
            together.SignalAndWait();
            for (var i = 0; i < sums; i++) exchange.AllReduce();
            together.SignalAndWait();
        }
    }
}
