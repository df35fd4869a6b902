using System.CommandLine;
using Aisle.Artifacts;
using Aisle.Terminal;

namespace Aisle.Commands;

public static class GetCommand
{
    public static Command Create()
    {
        var name = new Argument<string>("NAME") { Description = "A name, name@alias, name@version or a digest" };
        var path = new Argument<string?>("PATH")
        {
            Description = "The folder to fill; else one in this folder, called as the name's last part", Arity = ArgumentArity.ZeroOrOne, DefaultValueFactory = _ => null,
        };
        return new Command("get", "Fetch content, verified on the way") { name, path }.Does(async (call, cancellationToken) =>
        {
            using var client = call.Connect();
            var digest = await client.ResolveAsync(call.Get(name), cancellationToken);
            var folder = Path.GetFullPath(call.Get(path) ?? FolderFor(call.Get(name), digest));
            var bytes = await TransferBar.RunAsync(call.Screen, "get", TimeProvider.System, async progress =>
            {
                var last = new LastProgress(progress);
                await client.Artifacts.GetAsync(digest, folder, last, cancellationToken);
                return last.DoneBytes;
            });
            if (call.Json) call.Screen.WriteJson(new GetView(call.Get(name), digest, folder, bytes), CommandJson.Default.GetView);
            else
            {
                call.Screen.WriteLine(folder);
                call.Screen.Say($"{Amount.Bytes(bytes)}, every chunk verified against {digest.Short}.");
            }
            return ExitCode.Done;
        });
    }

    internal static string FolderFor(string target, Digest digest)
    {
        if (Digest.TryParse(target, out _)) return digest.Short;
        var name = target.Split('@')[0].TrimEnd('/');
        return name[(name.LastIndexOf('/') + 1)..] is { Length: > 0 } last and not ("." or "..") ? last : digest.Short;
    }

    private sealed class LastProgress(IProgress<TransferProgress> next) : IProgress<TransferProgress>
    {
        private long _doneBytes;

        public long DoneBytes => Interlocked.Read(ref _doneBytes);

        public void Report(TransferProgress value)
        {
            Interlocked.Exchange(ref _doneBytes, value.DoneBytes);
            next.Report(value);
        }
    }
}
