using System.CommandLine;
using Aisle.Api;
using Aisle.Terminal;

namespace Aisle.Commands;

public static class HistoryCommand
{
    public static Command Create()
    {
        var name = new Argument<string>("NAME") { Description = "The name" };
        return new Command("history", "What a name pointed at, oldest first") { name }.Does(async (call, cancellationToken) =>
        {
            using var client = call.Connect();
            var versions = await client.HistoryAsync(call.Get(name), cancellationToken);
            if (call.Json)
            {
                call.Screen.WriteJson(versions, ApiJson.Default.IReadOnlyListNameVersionView);
                return ExitCode.Done;
            }
            var listing = new Listing("VERSION", "DIGEST", "MOVED", "BY", "ALIASES");
            foreach (var version in versions)
                listing.Add($"{version.Version}", version.Digest.ToString(), $"{version.At:yyyy-MM-dd HH:mm:ss}Z", version.By ?? "-",
                    version.Aliases.Count == 0 ? "-" : string.Join(' ', version.Aliases.Select(alias => "@" + alias)));
            listing.WriteTo(call.Screen, "No versions.");
            return ExitCode.Done;
        });
    }
}
