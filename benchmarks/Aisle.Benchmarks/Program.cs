using Aisle.Benchmarks;
using Aisle.Benchmarks.Exchange;

// A benchmark's own processes come in through the same door, by names that nobody types.
return args switch
{
    [ExchangeRank.Role, .. var rest] => ExchangeRank.Run(rest),
    _ => await CommandLine.RunAsync(args),
};
