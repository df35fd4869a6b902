using System.Globalization;

namespace Aisle.Ledger.Tests.Chaos;

/// <summary>Real processes are killed and stopped while clients write. More rounds by AISLE_CHAOS_ROUNDS, another course by AISLE_CHAOS_SEED.</summary>
public sealed class ChaosTests
{
    private const int Clients = 6;
    private static readonly TimeSpan ComesBackWithin = TimeSpan.FromSeconds(60);   // a busy machine is not a broken promise

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(3, 15)]
    [InlineData(5, 6)]
    public async Task Nothing_acknowledged_is_lost_and_nothing_runs_twice_whoever_is_killed(int count, int rounds)
    {
        rounds = Setting("AISLE_CHAOS_ROUNDS", rounds);
        var seed = Setting("AISLE_CHAOS_SEED", count);
        using var members = new MemberProcesses(count);
        var course = new ChaosCourse(members, new Random(seed), $"seed {seed}");
        for (var member = 1; member <= count; member++) members.Start(member);
        var clients = Enumerable.Range(1, Clients).Select(number => new ChaosClient(members, number)).ToList();
        course.Clients = clients;
        using var stop = new CancellationTokenSource();
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(Ct);
        var running = clients.Select(client => client.RunAsync(stop.Token, ending.Token)).ToList();
        try
        {
            await course.ProgressAsync(Ct);
            for (var round = 0; round < rounds; round++) await course.RoundAsync(round, Ct);
            await stop.CancelAsync();
            await Task.WhenAll(running).WaitAsync(ComesBackWithin, Ct);
            await course.CheckEndAsync(Ct);
        }
        finally
        {
            await ending.CancelAsync();
            await Task.WhenAll(running).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        }
        TestContext.Current.SendDiagnosticMessage(course.Summary);
        Console.WriteLine(course.Summary);
    }

    private static int Setting(string name, int usual) => int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out var value) ? value : usual;
}
