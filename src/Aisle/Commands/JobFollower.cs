using System.Net;
using System.Runtime.CompilerServices;
using Aisle.Api;

namespace Aisle.Commands;

/// <summary>A job's events, each once, across dropped connections: the server tells again those it still has, and what is not later than the last one seen is skipped.</summary>
public sealed class JobFollower(AisleClient client, TimeProvider time)
{
    /// <summary>Silence of the server after which following is given up.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>The server has just answered something else: a failure of the very first try is a drop too.</summary>
    public bool HasAnswered { get; init; }

    /// <summary>Called when the connection drops, once a drop.</summary>
    public Action<AisleException>? Dropped { get; init; }

    /// <summary>Ends with <c>finished</c> of <paramref name="job"/>.</summary>
    /// <exception cref="ServerUnreachableException">Nothing answered at the first try (unless <see cref="HasAnswered"/>), or for <see cref="Patience"/> after a drop.</exception>
    public async IAsyncEnumerable<JobEvent> FollowAsync(string job, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        DateTimeOffset? seen = null;
        long? droppedAt = null;
        var pause = TimeSpan.FromMilliseconds(200);
        while (true)
        {
            AisleException? drop = null;
            var alreadySeen = seen;
            await using var events = client.EventsAsync(job, follow: true, cancellationToken).GetAsyncEnumerator(cancellationToken);
            while (true)
            {
                try
                {
                    if (!await events.MoveNextAsync()) break;
                }
                catch (AisleException e) when (IsDrop(e) && (HasAnswered || seen is not null || droppedAt is not null))
                {
                    drop = e;
                    break;
                }
                // The end is told whatever its time: after a restart it is made up from what the ledger says.
                var isEnd = events.Current.Event == "finished" && events.Current.Job == job;
                if (!isEnd && events.Current.At <= alreadySeen) continue;
                seen = events.Current.At ?? seen;
                droppedAt = null;
                pause = TimeSpan.FromMilliseconds(200);
                yield return events.Current;
                if (isEnd) yield break;
            }
            if (droppedAt is null)
            {
                droppedAt = time.GetTimestamp();
                Dropped?.Invoke(drop ?? Cut());
            }
            if (time.GetElapsedTime(droppedAt.Value) > Patience) throw drop ?? Cut();
            await Task.Delay(pause, time, cancellationToken);
            pause = pause < TimeSpan.FromSeconds(2) ? pause * 2 : pause;
        }
    }

    private ServerUnreachableException Cut() => new(client.Server, new IOException("the stream of events ended early"));

    private static bool IsDrop(AisleException e) =>
        e is ServerUnreachableException or ApiException { Status: HttpStatusCode.BadGateway or HttpStatusCode.ServiceUnavailable or HttpStatusCode.GatewayTimeout };
}
