using Aisle.Artifacts;
using Aisle.Jobs;
using Aisle.Ledger;

namespace Aisle.Head;

/// <summary>What only the first node has: the ledger, the fleet, the job controller, and the API over them.</summary>
internal sealed class HeadNode : IAsyncDisposable
{
    private static readonly TimeSpan OrdersPatience = TimeSpan.FromSeconds(1);

    private readonly LedgerMember _ledger;
    private readonly JobEvents _events;
    private readonly JobController _jobs;
    private readonly ModelApi _models;
    private readonly ArtifactStore _artifacts;
    private readonly Func<Uri> _url;
    private readonly TimeProvider _time;

    private HeadNode(LedgerMember ledger, ArtifactStore artifacts, string token, string incarnation, string recordsDir, Func<Uri> url, TimeProvider time, ILoggerFactory loggers)
    {
        _ledger = ledger;
        _artifacts = artifacts;
        _url = url;
        _time = time;
        Fleet = new Fleet(incarnation, time);
        _events = new JobEvents(time);
        _jobs = new JobController(ledger, Fleet, _events, artifacts, recordsDir, time, loggers.CreateLogger<JobController>());
        _models = new ModelApi(ledger, Fleet, artifacts, token, url, time);
    }

    public Fleet Fleet { get; }

    public static async Task<HeadNode> OpenAsync(
        string ledgerDir, ArtifactStore artifacts, string token, string incarnation, string recordsDir, Func<Uri> url, TimeProvider time, ILoggerFactory loggers,
        CancellationToken cancellationToken) =>
        new(await LedgerMember.OpenAsync(ledgerDir, null, cancellationToken), artifacts, token, incarnation, recordsDir, url, time, loggers);

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapJobs(_ledger, Fleet, _events, _jobs, _artifacts, _url, _time);
        routes.MapNames(_ledger, _artifacts, _time);
        _models.Map(routes);

        routes.MapPost("/v1/agents/report", async (HttpContext context, CancellationToken cancellationToken) =>
        {
            var report = await System.Text.Json.JsonSerializer.DeserializeAsync(context.Request.Body, JobsJson.Default.AgentReport, cancellationToken)
                ?? throw new System.Text.Json.JsonException("The report is null.");
            return TypedResults.Json(await AcceptAsync(report, cancellationToken), JobsJson.Default.AgentOrders);
        });
        routes.MapPost("/v1/agents/{node}/orders", async (string node, HttpContext context, CancellationToken cancellationToken) =>
        {
            var seen = await context.ReadAsync(JobsJson.Default.OrdersVersion, cancellationToken);
            return TypedResults.Json(await Fleet.OrdersAsync(node, seen, OrdersPatience, cancellationToken), JobsJson.Default.AgentOrders);
        });
    }

    public Task<AgentOrders> AcceptAsync(AgentReport report, CancellationToken cancellationToken)
    {
        _jobs.Accept(report);
        return Fleet.OrdersAsync(report.Node, new OrdersVersion("", 0), TimeSpan.Zero, cancellationToken);
    }

    public Task RunAsync(CancellationToken cancellationToken) => _jobs.RunAsync(cancellationToken);

    public async ValueTask DisposeAsync()
    {
        await _jobs.DisposeAsync();
        _models.Dispose();
        await _ledger.DisposeAsync();
    }
}
