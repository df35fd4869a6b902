using System.CommandLine;
using Aisle.Api;
using Aisle.Terminal;

namespace Aisle.Commands;

public static class LsCommand
{
    public static Command Create()
    {
        var prefix = new Argument<string?>("PREFIX") { Description = "Only names that start so", Arity = ArgumentArity.ZeroOrOne, DefaultValueFactory = _ => "" };
        return new Command("ls", "Names and what they point at") { prefix }.Does(async (call, cancellationToken) =>
        {
            using var client = call.Connect();
            var names = await client.NamesAsync(call.Get(prefix), cancellationToken);
            if (call.Json)
            {
                call.Screen.WriteJson(names, ApiJson.Default.IReadOnlyListNameView);
                return ExitCode.Done;
            }
            var listing = new Listing("NAME", "VERSION", "DIGEST", "MOVED", "BY", "ALIASES");
            foreach (var name in names)
                listing.Add(name.Name, $"{name.Version}", name.Digest.Short, $"{name.At:yyyy-MM-dd HH:mm:ss}Z", name.By ?? "-",
                    name.Aliases.Count == 0 ? "-" : string.Join(' ', name.Aliases.Select(alias => "@" + alias.Key)));
            listing.WriteTo(call.Screen, "No names. `aisle put NAME PATH` makes one.");
            return ExitCode.Done;
        });
    }
}
