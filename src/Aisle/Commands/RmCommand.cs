using System.CommandLine;
using System.Text.Json.Nodes;

namespace Aisle.Commands;

public static class RmCommand
{
    public static Command Create()
    {
        var name = new Argument<string>("NAME") { Description = "The name to forget; its content stays" };
        return new Command("rm", "Forget a name and its history") { name }.Does(async (call, cancellationToken) =>
        {
            using var client = call.Connect();
            await client.RemoveNameAsync(call.Get(name), cancellationToken);
            if (call.Json) call.Screen.WriteLine(new JsonObject { ["removed"] = call.Get(name) }.ToJsonString());
            else call.Screen.Say($"Forgot {call.Get(name)}; its content is untouched.");
            return ExitCode.Done;
        });
    }
}
