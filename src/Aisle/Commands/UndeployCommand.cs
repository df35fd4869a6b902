using System.CommandLine;
using System.Text.Json.Nodes;

namespace Aisle.Commands;

public static class UndeployCommand
{
    public static Command Create()
    {
        var endpoint = new Argument<string>("ENDPOINT") { Description = "The endpoint's name" };
        return new Command("undeploy", "Stop serving") { endpoint }.Does(async (call, cancellationToken) =>
        {
            using var client = call.Connect();
            await client.RemoveEndpointAsync(call.Get(endpoint), cancellationToken);
            if (call.Json) call.Screen.WriteLine(new JsonObject { ["removed"] = call.Get(endpoint) }.ToJsonString());
            else call.Screen.Say($"{call.Get(endpoint)} is served no more; its model stays.");
            return ExitCode.Done;
        });
    }
}
