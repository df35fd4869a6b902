using System.CommandLine;
using Aisle.Api;

namespace Aisle.Commands;

public static class TagCommand
{
    public static Command Create()
    {
        var target = new Argument<string>("NAME[@VERSION]") { Description = "A name, and which of its versions: a number, an alias or a digest; else the newest" };
        var alias = new Argument<string>("ALIAS") { Description = "What to call that version, e.g. production" };
        return new Command("tag", "Move an alias of a name") { target, alias }.Does(async (call, cancellationToken) =>
        {
            var (name, version) = Split(call.Get(target));
            using var client = call.Connect();
            var view = await client.TagAsync(name, call.Get(alias).TrimStart('@'), version, cancellationToken);
            if (call.Json) call.Screen.WriteJson(view, ApiJson.Default.NameView);
            else call.Screen.WriteLine($"{name}@{call.Get(alias).TrimStart('@')}  {view.Aliases.GetValueOrDefault(call.Get(alias).TrimStart('@'), view.Digest)}");
            return ExitCode.Done;
        });
    }

    internal static (string Name, string Version) Split(string target)
    {
        var at = target.IndexOf('@');
        if (at < 0) return (target, "latest");
        if (at == 0 || at == target.Length - 1)
            throw new WrongUsageException($"'{target}' is not a name with a version.", "Write NAME or NAME@VERSION, e.g. models/docs@3.");
        return (target[..at], target[(at + 1)..]);
    }
}
