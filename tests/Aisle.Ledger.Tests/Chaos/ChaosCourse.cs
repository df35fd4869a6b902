using System.Diagnostics;
using System.Globalization;

namespace Aisle.Ledger.Tests.Chaos;

/// <summary>What is done to the members, round by round, and what must hold after it.</summary>
internal sealed class ChaosCourse(MemberProcesses members, Random random, string name)
{
    private static readonly TimeSpan ComesBackWithin = TimeSpan.FromSeconds(60);   // a busy machine is not a broken promise

    private readonly List<double> _failovers = [];
    private readonly Dictionary<string, int> _rounds = [];
    private string _doing = "start";

    public IReadOnlyList<ChaosClient> Clients { get; set; } = [];

    private long Acknowledged => Clients.Sum(client => client.Acknowledged);

    public string Summary => string.Create(CultureInfo.InvariantCulture,
        $"chaos, {members.Count} members, {name}: {string.Join(", ", _rounds.OrderBy(round => round.Key).Select(round => $"{round.Value} × {round.Key}"))}; {Acknowledged} acknowledged, none lost, none twice; ")
        + (_failovers.Count == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"leader killed → next acknowledgement: median of {_failovers.Count} {(_failovers.Order().ElementAt((_failovers.Count - 1) / 2) + _failovers.Order().ElementAt(_failovers.Count / 2)) / 2:0} ms, most {_failovers.Max():0} ms"));

    public async Task RoundAsync(int round, CancellationToken ct)
    {
        // The leader every third time; the rest by chance.
        var kind = round % 3 == 0 ? 0 : random.Next(1, 6);
        var all = Enumerable.Range(1, members.Count).ToArray();
        random.Shuffle(all);
        _doing = $"round {round}: " + kind switch
        {
            0 => "kill the leader",
            1 => "kill one",
            2 => "kill all",
            3 => "kill a majority, then go on with one of them",
            4 => "stop the leader",
            _ => "kill one, then another",
        };
        _rounds[_doing.Split(": ")[1]] = _rounds.GetValueOrDefault(_doing.Split(": ")[1]) + 1;
        switch (kind)
        {
            case 0:
                var leader = await LeaderAsync(ct);
                var killed = Stopwatch.GetTimestamp();
                members.Kill(leader);
                await UntilAsync(() => Clients.Any(client => client.Newest.At > killed && client.Newest.Member != leader), ct);
                _failovers.Add(Stopwatch.GetElapsedTime(killed, Clients.Where(client => client.Newest.At > killed && client.Newest.Member != leader).Min(client => client.Newest.At)).TotalMilliseconds);
                break;
            case 1:
                members.Kill(all[0]);
                break;
            case 2:
                foreach (var member in all) members.Kill(member);
                break;
            case 3:
                foreach (var member in all[..(members.Count / 2 + 1)]) members.Kill(member);
                members.Start(all[0]);
                await ProgressAsync(ct);
                break;
            case 4:
                var stopped = await LeaderAsync(ct);
                members.Stop(stopped);
                await Task.Delay(random.Next(100, 1200), ct);
                members.Continue(stopped);
                break;
            default:
                members.Kill(all[0]);
                await Task.Delay(random.Next(200), ct);
                members.Start(all[0]);
                members.Kill(all[1]);
                break;
        }
        foreach (var member in all) if (!members.Runs(member)) members.Start(member);
        await ProgressAsync(ct);
    }

    /// <summary>Every client is answered again.</summary>
    public async Task ProgressAsync(CancellationToken ct)
    {
        var before = Clients.Select(client => client.Acknowledged).ToArray();
        var wants = random.Next(1, 60);
        await UntilAsync(() => Clients.Select((client, i) => client.Acknowledged - before[i]).All(more => more >= wants), ct);
    }

    public async Task CheckEndAsync(CancellationToken ct)
    {
        _doing = "the end";
        foreach (var client in Clients) Assert.True(client.Acknowledged > 0);
        var leader = await LeaderAsync(ct);
        var agreed = (await AskAsync(leader, "=", ct)).Split(' ');
        for (var member = 1; member <= members.Count; member++)
        {
            string[] one = [];
            var at = member;
            await UntilAsync(async () => (one = (await ChaosClient.AskOnceAsync(members, at, "?", ct))?.Split(' ') ?? ["0"]) is [var revision, ..] && long.Parse(revision) >= long.Parse(agreed[0]), ct);
            Assert.True(one[0] == agreed[0] && one[^1] == agreed[^1], $"{name}: m{member} is at {string.Join(' ', one)}, the leader m{leader} at {string.Join(' ', agreed)}");
        }
        for (var client = 1; client <= Clients.Count; client++)
        {
            var acknowledged = Clients[client - 1].Acknowledged;
            for (var first = 1L; first <= acknowledged; first += ChaosClient.SerialsOfOneName)
            {
                var last = Math.Min(acknowledged, first + ChaosClient.SerialsOfOneName - 1);
                var expected = Enumerable.Range((int)first, (int)(last - first + 1)).Select(serial => Make.D(ChaosClient.ContentOf(client, serial)).ToString());
                Assert.Equal(expected, (await AskAsync(leader, "#" + ChaosClient.NameOf(client, first), ct)).Split(' '));
            }
        }
    }

    public async Task<int> LeaderAsync(CancellationToken ct)
    {
        var leader = 0;
        await UntilAsync(async () =>
        {
            for (var member = 1; member <= members.Count; member++)
            {
                if (!members.Runs(member) || await ChaosClient.AskOnceAsync(members, member, "=", ct) is not { } said || said.StartsWith('!')) continue;
                leader = member;
                return true;
            }
            return false;
        }, ct);
        return leader;
    }

    private async Task<string> AskAsync(int member, string line, CancellationToken ct) =>
        await ChaosClient.AskOnceAsync(members, member, line, ct) ?? throw new InvalidOperationException($"{name}, {_doing}: m{member} does not answer {line}. {Describe()}");

    private Task UntilAsync(Func<bool> holds, CancellationToken ct) => UntilAsync(() => Task.FromResult(holds()), ct);

    private async Task UntilAsync(Func<Task<bool>> holds, CancellationToken ct)
    {
        var begin = Stopwatch.GetTimestamp();
        while (!await holds())
        {
            foreach (var client in Clients) Assert.True(client.Broken is null, $"{name}, {_doing}: {client.Broken}. {Describe()}");
            Assert.True(Stopwatch.GetElapsedTime(begin) < ComesBackWithin, $"{name}, {_doing}: not within {ComesBackWithin}. {Describe()}");
            await Task.Delay(2, ct);
        }
    }

    private string Describe()
    {
        lock (members.Errors)
        {
            return $"{string.Join(' ', Enumerable.Range(1, members.Count).Select(member => members.Runs(member) ? $"m{member} runs" : $"m{member} is down"))}; "
                + $"acknowledged {string.Join(' ', Clients.Select(client => client.Acknowledged))}. {string.Join('\n', members.Errors.TakeLast(10))}";
        }
    }
}
