using System.CommandLine;
using Aisle.Api;
using Aisle.Terminal;

namespace Aisle.Commands;

public static class LineageCommand
{
    public static Command Create()
    {
        var name = new Argument<string>("NAME") { Description = "A name, name@alias, name@version or a digest" };
        return new Command("lineage", "What something was made from, back to the bytes that were put") { name }.Does(async (call, cancellationToken) =>
        {
            using var client = call.Connect();
            var lineage = await client.LineageAsync(call.Get(name), cancellationToken);
            if (call.Json) call.Screen.WriteJson(lineage, ApiJson.Default.LineageView);
            else call.Screen.Write(LineageTree.Draw(lineage));
            return ExitCode.Done;
        });
    }
}
