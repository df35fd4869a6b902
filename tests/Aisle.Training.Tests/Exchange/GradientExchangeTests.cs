using System.Net;
using Aisle.Training.Exchange;

namespace Aisle.Training.Tests.Exchange;

public sealed class GradientExchangeTests
{
    private static readonly byte[] s_secret = [1, 2, 3, 4];

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 1000)]
    [InlineData(3, 70_000)]
    [InlineData(5, 300_001)]
    public async Task Every_rank_gets_the_exact_sum_again_and_again(int ranks, int elements)
    {
        var exchanges = Open(ranks, elements);
        try
        {
            for (var round = 0; round < 5; round++)
            {
                var arrays = Enumerable.Range(0, ranks).Select(rank => Values(rank, round, elements)).ToArray();
                var expected = Enumerable.Range(0, elements).Select(i => (float)arrays.Sum(array => (double)array[i])).ToArray();
                await Task.WhenAll(exchanges.Select((exchange, rank) => Task.Factory.StartNew(() => exchange.AllReduce(arrays[rank]), TaskCreationOptions.LongRunning)))
                    .WaitAsync(TimeSpan.FromSeconds(30));
                foreach (var array in arrays) Assert.Equal(expected, array);
            }
        }
        finally
        {
            foreach (var exchange in exchanges) exchange.Dispose();
        }
    }

    [Theory]
    [InlineData(ExchangeTransport.Tcp, ExchangeTransport.Tcp, ExchangeTransport.Tcp)]
    [InlineData(ExchangeTransport.Sockets, ExchangeTransport.Sockets, ExchangeTransport.Sockets)]
    [InlineData(ExchangeTransport.Automatic, ExchangeTransport.Tcp, ExchangeTransport.Sockets)]
    [InlineData(ExchangeTransport.Automatic, ExchangeTransport.Automatic, ExchangeTransport.Tcp)]
    public async Task Every_way_between_ranks_gives_the_same_sum(ExchangeTransport first, ExchangeTransport second, ExchangeTransport third)
    {
        const int elements = 200_003;
        var exchanges = Open([first, second, third], elements);
        try
        {
            for (var round = 0; round < 3; round++)
            {
                float[][] arrays = [.. exchanges.Select((_, rank) => Values(rank, round, elements))];
                for (var rank = 0; rank < exchanges.Length; rank++) arrays[rank].CopyTo(exchanges[rank].Values);
                var expected = Enumerable.Range(0, elements).Select(i => (float)arrays.Sum(array => (double)array[i])).ToArray();
                var sums = await Task.WhenAll(exchanges.Select(exchange => Task.Factory.StartNew(() => exchange.AllReduce().ToArray(), TaskCreationOptions.LongRunning)))
                    .WaitAsync(TimeSpan.FromSeconds(30));
                foreach (var sum in sums) Assert.Equal(expected, sum);
            }
        }
        finally
        {
            foreach (var exchange in exchanges) exchange.Dispose();
        }
    }

    [Fact]
    public async Task A_value_that_is_not_a_number_is_reported_on_every_rank()
    {
        var exchanges = Open(2, 600);
        try
        {
            float[][] arrays = [Values(0, 0, 600), Values(1, 0, 600)];
            arrays[1][500] = float.NaN;
            foreach (var run in exchanges.Select((exchange, rank) => Task.Factory.StartNew(() => exchange.AllReduce(arrays[rank]), TaskCreationOptions.LongRunning)).ToList())
            {
                Assert.Equal("AISLE-5126", (await Assert.ThrowsAsync<AisleException>(() => run)).Code);
            }
        }
        finally
        {
            foreach (var exchange in exchanges) exchange.Dispose();
        }
    }

    private static GradientExchange[] Open(int ranks, int elements) => Open([.. Enumerable.Repeat(ExchangeTransport.Automatic, ranks)], elements);

    private static GradientExchange[] Open(ExchangeTransport[] transports, int elements)
    {
        GradientExchange[] exchanges = [.. transports.Select((transport, rank) => new GradientExchange(rank, transports.Length, elements, s_secret, transport: transport))];
        IPEndPoint[] endPoints = [.. exchanges.Select(exchange => exchange.EndPoint)];
        foreach (var exchange in exchanges) exchange.Connect(endPoints);
        return exchanges;
    }

    // Multiples of 1/1024 below 64: exact in fixed point and in double.
    private static float[] Values(int rank, int round, int elements)
    {
        var random = new Random(rank * 100 + round);
        return [.. Enumerable.Range(0, elements).Select(_ => random.Next(-65536, 65536) / 1024f)];
    }
}
