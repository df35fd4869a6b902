using System.Collections.Immutable;
using Aisle.Artifacts;
using CsCheck;
using static Aisle.Ledger.Tests.Make;

namespace Aisle.Ledger.Tests;

/// <summary>Commands from a seed, over few names, jobs and digests, so that they meet each other. About one in ten is nonsense.</summary>
internal sealed class RandomCommands(Random random)
{
    /// <summary>A seed and a count: a failing sample shrinks to few commands.</summary>
    public static Gen<(int Seed, int Count)> Samples(int most) => Gen.Select(Gen.Int[0, int.MaxValue - 1], Gen.Int[0, most]);

    /// <summary>The states from empty through each of <paramref name="count"/> commands, and the commands.</summary>
    public static (ImmutableArray<LedgerState> States, ImmutableArray<LedgerCommand> Commands) Run(int seed, int count, bool holes = false)
    {
        var commands = new RandomCommands(new Random(seed));
        var states = ImmutableArray.CreateBuilder<LedgerState>();
        var run = ImmutableArray.CreateBuilder<LedgerCommand>();
        states.Add(LedgerState.Empty);
        for (var i = 0; i < count; i++)
        {
            var command = commands.Next(states[^1], holes);
            run.Add(command);
            states.Add(states[^1].Apply(command).State);
        }
        return (states.ToImmutable(), run.ToImmutable());
    }

    /// <param name="holes">Nulls and defaults too, which no log can hold.</param>
    public LedgerCommand Next(LedgerState state, bool holes) => holes && random.Next(10) == 0 ? WithHoles() : random.Next(20) switch
    {
        13 => new AdvanceTime { At = At() },
        14 => new OpenSession(random.Next(9) == 0 ? "" : "client", Lifetime()) { At = At() },
        15 => random.Next(4) == 0 ? new CloseSession(Session()) { At = At() } : new KeepSession(Session()) { At = At() },
        16 or 17 => new InSession(Session(), random.Next(4), Next(state, holes: false)) { At = At() },
        18 => new GrantLease(Name(), "holder" + random.Next(2), Lifetime()) { At = At() },
        19 => random.Next(3) == 0 ? new ReleaseLease(Name(), Fence(state)) { At = At() } : new RenewLease(Name(), Fence(state)) { At = At() },
        0 => Move(Name(), Content()) with { Under = random.Next(2) == 0 ? new LeaseProof(Name(), Fence(state)) : null },
        1 => Move(Name(), Content(), random.Next(3) == 0 ? random.Next(4) : null) with { By = random.Next(2) == 0 ? Job() : null },
        2 => Alias(Name(), random.Next(5) == 0 ? "latest" : "production", Content()),
        3 => random.Next(3) == 0 ? new RemoveName(Name()) { At = At() } : new RemoveEndpoint(Endpoint()) { At = At() },
        4 or 5 => Submit("i" + random.Next(5), random.Next(2) == 0 ? Job() : null, (JobKind)random.Next(random.Next(10) == 0 ? 6 : 4), random.Next(3) == 0, random.Next(-1, 5)),
        6 or 7 => Place(state),
        8 => new ScaleJob(Job(), random.Next(8) == 0 ? int.MinValue : random.Next(0, 9)) { At = At() },
        9 => random.Next(4) == 0 ? Withdraw(Job(), random.Next(-1, 8), Content()) : Record(Job(), random.Next(-1, 8), Content()),
        10 => state.Live.IsEmpty ? Cancel(Job()) : Succeed(state, Any(state.Live), Content(), random.Next(3) == 0 ? new RecordCounts(3, random.Next(3), 1, random.Next(3)) : null),
        11 => random.Next(2) == 0 ? Cancel(Job()) : Fail(Job(), "error 😀 \u0001 " + random.Next()),
        _ => Deploy(Endpoint(), Content(), random.Next(0, 4)),
    };

    private LedgerCommand WithHoles() => random.Next(12) switch
    {
        9 => new InSession(default, 1, null!) { At = At() },
        10 => new GrantLease(null!, null!, default) { At = At() },
        11 => new OpenSession(null!, TimeSpan.MaxValue) { At = At(), Under = new LeaseProof(null!, 0) },
        0 => null!,
        1 => Move(null!, "x"),
        2 => new PlaceJob(Job(), default) { At = At() },
        3 => new PlaceJob(Job(), [null!]) { At = At() },
        4 => new FinishJob(Job(), JobState.Succeeded, null!) { At = At() },
        5 => new RecordCheckpoint(Job(), null!) { At = At() },
        6 => new SubmitJob(JobKind.Task, null!, default, default) { At = default },
        7 => new FinishJob(Job(), (JobState)77, null!, Result: new JobResult
        {
            Identity = default, Title = null!, Spec = default, Kind = default, Inputs = null!, Outputs = null!, Checkpoints = default, ProducedBy = default,
        }) { At = At() },
        _ => new DeployEndpoint(null!, default, null!, 1, default, default) { At = At() },
    };

    private PlaceJob Place(LedgerState state)
    {
        var id = state.Live.IsEmpty || random.Next(4) == 0 ? Job() : Any(state.Live);
        var job = state.Jobs.GetValueOrDefault(id);
        var kept = job?.Placements.Where(_ => random.Next(2) == 0) ?? [];
        var first = (job?.NextProcess ?? 1) - (random.Next(5) == 0 ? 1 : 0);
        var added = Enumerable.Range(first, random.Next(3)).Select(n => new Placement("w" + n, "node" + random.Next(3)));
        return new PlaceJob(id, [.. kept, .. added]) { At = At() };
    }

    private TimeSpan Lifetime() => TimeSpan.FromSeconds(random.Next(0, 300));

    private SessionId Session() => new(random.Next(1, 9));

    private long Fence(LedgerState state) => state.LastFence - random.Next(3);

    private string Name() => random.Next(10) == 0 ? "Not a name" : "n" + random.Next(4);

    private string Endpoint() => random.Next(10) == 0 ? "not/one" : "e" + random.Next(3);

    private string Content() => "c" + random.Next(4);

    private JobId Job() => new(random.Next(10) == 0 ? random.Next() : random.Next(1, 12));

    private JobId Any(ImmutableSortedSet<JobId> jobs) => jobs[random.Next(jobs.Count)];

    private DateTimeOffset At() => Noon.AddSeconds(random.Next(1000)).ToOffset(TimeSpan.FromHours(random.Next(-2, 3)));
}
