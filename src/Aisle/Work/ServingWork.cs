using Aisle.Api;
using Aisle.Jobs;
using Aisle.Serving;

namespace Aisle.Work;

/// <summary>A replica: serves one model until its process is ended.</summary>
internal static class ServingWork
{
    public static async Task RunAsync(ProcessStart start, JobSpec spec, AisleClient client, CancellationToken cancellationToken)
    {
        var model = await JobProcess.FetchAsync(start, client, spec.Inputs["model"], cancellationToken);
        await using var server = await ReplicaServer.StartAsync(new ReplicaOptions
        {
            ModelFolder = model,
            ModelName = spec.Parameters["name"],
            Token = start.Token,
        }, cancellationToken);
        JobProcess.Say(new ProcessMessage { Type = "ready", Url = server.Url });
        await Task.Delay(Timeout.Infinite, cancellationToken);
    }
}
