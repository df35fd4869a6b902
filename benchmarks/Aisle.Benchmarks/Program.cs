using Aisle.Benchmarks;
using Aisle.Benchmarks.Exchange;
using Aisle.Benchmarks.Ledger;
using Aisle.Benchmarks.Training;

// A benchmark's own processes come in through the same door, by names that nobody types.
return args switch
{
    [ExchangeRank.Role, .. var rest] => ExchangeRank.Run(rest),
    [LedgerMemberRole.Role, .. var rest] => await LedgerMemberRole.RunAsync(rest),
    [TrainingWorker.Role, .. var rest] => await TrainingWorker.RunAsync(rest),
    _ => await CommandLine.RunAsync(args),
};
