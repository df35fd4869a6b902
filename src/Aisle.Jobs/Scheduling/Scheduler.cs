using System.Collections.Immutable;
using Aisle.Ledger;

namespace Aisle.Jobs;

/// <summary>A node as the scheduler sees it.</summary>
/// <param name="Slots">Processes it takes at once.</param>
public sealed record NodeOffer(string Name, int Slots, string NumericClass);

/// <summary>
/// Decides where wanted processes run: a plain function of what is wanted, what is offered and what time it is.
/// Oldest job first; a training job takes as many processes as it wants and there is room for, and runs with fewer; the others are all or nothing.
/// One job of an identity runs at a time: its twin waits for the result.
/// </summary>
public static class Scheduler
{
    /// <summary>A lost worker is replaced after this long: a node that just died is given time to say so.</summary>
    public static readonly TimeSpan ReplacementDelay = TimeSpan.FromSeconds(3);

    /// <param name="offers">Nodes that are up.</param>
    /// <param name="lostAt">When each job last lost a process.</param>
    /// <param name="numericClasses">Class a job's identity is bound to; absent where any node will do.</param>
    /// <param name="shunned">Nodes that a job is put on only when no other has room: a worker of it computed wrongly there.</param>
    /// <returns>New placements of the jobs whose placements change.</returns>
    public static IReadOnlyList<PlaceJob> Decide(
        LedgerState state,
        IReadOnlyList<NodeOffer> offers,
        IReadOnlyDictionary<JobId, DateTimeOffset> lostAt,
        IReadOnlyDictionary<JobId, string> numericClasses,
        DateTimeOffset now,
        IReadOnlyDictionary<JobId, HashSet<string>>? shunned = null)
    {
        var live = state.Jobs.Values.Where(job => !job.IsFinished && job.Kind != JobKind.Pipeline).ToList();
        var free = offers.ToDictionary(offer => offer.Name, offer => offer.Slots, StringComparer.Ordinal);
        foreach (var placement in live.SelectMany(job => job.Placements))
        {
            if (free.TryGetValue(placement.Node, out var slots)) free[placement.Node] = slots - 1;
        }

        var busy = live.Where(job => job.Placements.Length > 0 && !job.Recompute).Select(job => job.Identity).ToHashSet();
        var decisions = new List<PlaceJob>();
        foreach (var job in live)
        {
            var missing = job.Workers - job.Placements.Length;
            if (missing < 0)
            {
                // Scaled down: the newest leave first, they have the least to hand over.
                decisions.Add(new PlaceJob(job.Id, job.Placements[..job.Workers]) { At = now });
                continue;
            }
            if (missing == 0) continue;
            if (lostAt.TryGetValue(job.Id, out var lost) && now - lost < ReplacementDelay) continue;
            if (job.Placements.Length == 0 && !job.Recompute && busy.Contains(job.Identity)) continue;

            var fitting = offers.Where(offer => !numericClasses.TryGetValue(job.Id, out var wanted) || wanted == offer.NumericClass).Select(offer => offer.Name).ToList();
            var chosen = Spread(job, missing, fitting, free, shunned?.GetValueOrDefault(job.Id));
            if (chosen.Count == 0 || (job.Kind != JobKind.Train && chosen.Count < missing)) continue;

            foreach (var node in chosen) free[node]--;
            if (!job.Recompute) busy.Add(job.Identity);
            var next = job.NextProcess;
            decisions.Add(new PlaceJob(job.Id, [.. job.Placements, .. chosen.Select((node, i) => new Placement($"w{next + i}", node))]) { At = now });
        }
        return decisions;
    }

    /// <summary>Up to <paramref name="count"/> nodes, one a process: those that are not shunned first, then fewest processes of this job first, then most room, then by name.</summary>
    private static List<string> Spread(Job job, int count, List<string> nodes, Dictionary<string, int> free, HashSet<string>? shunned)
    {
        var room = nodes.ToDictionary(node => node, node => free[node], StringComparer.Ordinal);
        var own = nodes.ToDictionary(node => node, node => job.Placements.Count(placement => placement.Node == node), StringComparer.Ordinal);
        var chosen = new List<string>();
        while (chosen.Count < count)
        {
            var best = nodes.Where(node => room[node] > 0).OrderBy(node => shunned?.Contains(node) == true).ThenBy(node => own[node]).ThenByDescending(node => room[node]).ThenBy(node => node, StringComparer.Ordinal).FirstOrDefault();
            if (best is null) break;
            chosen.Add(best);
            room[best]--;
            own[best]++;
        }
        return chosen;
    }
}
