using System.Text.Json;
using Aisle.Api;
using Aisle.Artifacts;
using Aisle.Jobs;
using Aisle.Ledger;

namespace Aisle.Head;

/// <summary>Status, nodes and jobs over HTTP.</summary>
internal static class JobApi
{
    public static void MapJobs(this IEndpointRouteBuilder routes, ILedger ledger, Fleet fleet, JobEvents events, JobController jobs, ArtifactStore artifacts, Func<Uri> url, TimeProvider time)
    {
        routes.MapGet("/v1/status", () =>
        {
            var state = ledger.State;
            return TypedResults.Json(new StatusView
            {
                Version = typeof(JobApi).Assembly.GetName().Version!.ToString(3),
                Url = url().ToString(),
                LedgerRevision = state.Revision,
                Nodes = [.. fleet.Nodes.Select(Views.Node)],
                JobsRunning = state.Jobs.Values.Count(job => job.State == JobState.Running),
                JobsWaiting = state.Jobs.Values.Count(job => job.State == JobState.Waiting),
                Names = state.Names.Count,
                Endpoints = [.. state.Endpoints.Values.Select(endpoint => Views.Endpoint(endpoint, state, fleet, url()))],
            }, ApiJson.Default.StatusView);
        });

        routes.MapGet("/v1/nodes", () => TypedResults.Json([.. fleet.Nodes.Select(Views.Node)], ApiJson.Default.IReadOnlyListNodeView));

        routes.MapGet("/v1/jobs", (bool? all) =>
        {
            var state = ledger.State;
            return TypedResults.Json(
                [.. state.Jobs.Values.Where(job => all == true || !job.IsFinished).Reverse().Select(job => Views.Job(job, state, fleet, events))],
                ApiJson.Default.IReadOnlyListJobView);
        });

        routes.MapPost("/v1/jobs", async (HttpContext context, CancellationToken cancellationToken) =>
        {
            var request = await context.ReadAsync(ApiJson.Default.RunRequest, cancellationToken);
            var job = await jobs.SubmitPipelineAsync(request, cancellationToken);
            return TypedResults.Json(new JobAcceptedView(job.ToString()), ApiJson.Default.JobAcceptedView);
        });

        routes.MapGet("/v1/jobs/{id}", (string id) =>
        {
            var state = ledger.State;
            return TypedResults.Json(Views.Job(Find(state, id), state, fleet, events), ApiJson.Default.JobView);
        });

        routes.MapPost("/v1/jobs/{id}/cancel", async (string id, CancellationToken cancellationToken) =>
        {
            await jobs.CancelAsync(Find(ledger.State, id), cancellationToken);
            return TypedResults.NoContent();
        });

        routes.MapPost("/v1/jobs/{id}/scale", async (string id, HttpContext context, CancellationToken cancellationToken) =>
        {
            var request = await context.ReadAsync(ApiJson.Default.ScaleRequest, cancellationToken);
            var state = ledger.State;
            var job = Find(state, id);
            // A pipeline is scaled where it can be: at its training step.
            if (job.Kind == JobKind.Pipeline)
                job = state.Jobs.Values.FirstOrDefault(child => child.Parent == job.Id && child.Kind == JobKind.Train && !child.IsFinished)
                    ?? throw new AisleException("AISLE-3020", $"{job.Id} trains nothing now.", "Scale it while its training step runs, or give --workers to `aisle run`.");
            await ledger.AgreeAsync(new ScaleJob(job.Id, request.Workers) { At = time.GetUtcNow() }, cancellationToken);
            return TypedResults.Json(new JobAcceptedView(job.Id.ToString()), ApiJson.Default.JobAcceptedView);
        });

        routes.MapGet("/v1/jobs/{id}/events", async (string id, bool? follow, HttpContext context, CancellationToken cancellationToken) =>
        {
            var job = Find(ledger.State, id);
            context.Response.ContentType = "application/x-ndjson";
            if (job.IsFinished && !events.Knows(job.Id))
            {
                // It ended before this process started: its log is an artifact, its end is in the ledger.
                if (job.Log is { } log)
                {
                    await using var kept = await artifacts.OpenEntryAsync(log, "events.ndjson", cancellationToken);
                    await kept.CopyToAsync(context.Response.Body, cancellationToken);
                }
                await WriteAsync(context, JobController.EndOf(job, ledger.State), cancellationToken);
                return;
            }
            await context.Response.StartAsync(cancellationToken);
            await foreach (var e in events.ReadAsync(job.Id, follow == true, cancellationToken))
            {
                await WriteAsync(context, e, cancellationToken);
                if (follow == true) await context.Response.Body.FlushAsync(cancellationToken);
            }
        });

        routes.MapGet("/v1/jobs/{id}/steps", async (string id, CancellationToken cancellationToken) =>
            TypedResults.Bytes(await jobs.StepsAsync(Find(ledger.State, id), cancellationToken), "application/octet-stream"));

        routes.MapGet("/v1/jobs/{id}/timeline", async (string id, CancellationToken cancellationToken) =>
            TypedResults.Bytes(await jobs.TimeLineAsync(Find(ledger.State, id), cancellationToken), "application/json"));

        routes.MapPost("/v1/jobs/{id}/replay", async (string id, HttpContext context, CancellationToken cancellationToken) =>
        {
            var request = await context.ReadAsync(ApiJson.Default.ReplayRequest, cancellationToken);
            return TypedResults.Json(await jobs.ReplayAsync(Find(ledger.State, id), request.ToStep, cancellationToken), ApiJson.Default.ReplayAcceptedView);
        });

        routes.MapPost("/v1/verify", async (HttpContext context, CancellationToken cancellationToken) =>
        {
            var request = await context.ReadAsync(ApiJson.Default.VerifyRequest, cancellationToken);
            return TypedResults.Json(await jobs.VerifyAsync(request, cancellationToken), ApiJson.Default.VerifyAcceptedView);
        });
    }

    private static Job Find(LedgerState state, string id) =>
        JobId.TryParse(id, out var job) && state.Jobs.TryGetValue(job, out var found)
            ? found
            : throw new AisleException(LedgerCodes.JobNotFound, $"There is no job '{id}' here.", "`aisle jobs --all` lists them.");

    private static async Task WriteAsync(HttpContext context, JobEvent e, CancellationToken cancellationToken)
    {
        await JsonSerializer.SerializeAsync(context.Response.Body, e, ApiJson.Default.JobEvent, cancellationToken);
        await context.Response.Body.WriteAsync("\n"u8.ToArray(), cancellationToken);
    }
}
