using System.CommandLine;
using Aisle.Artifacts;
using Aisle.Terminal;

namespace Aisle.Commands;

public static class PutCommand
{
    public static Command Create()
    {
        var name = new Argument<string>("NAME") { Description = "What to call it, e.g. data/text" };
        var path = new Argument<string>("PATH") { Description = "The file or folder to store" };
        return new Command("put", "Store a file or folder under a name") { name, path }.Does(async (call, cancellationToken) =>
        {
            using var client = call.Connect();
            var put = await TransferBar.RunAsync(call.Screen, "put", TimeProvider.System, progress =>
                client.PutAsync(call.Get(name), PathToStore(call.Get(path)), progress, cancellationToken));
            if (call.Json)
                call.Screen.WriteJson(new PutView(call.Get(name), put.Digest, put.Bytes, put.StoredBytes, put.Chunks, put.NewChunks, put.Copies, put.Wanted), CommandJson.Default.PutView);
            else
                Print(call.Get(name), put, call.Screen);
            return ExitCode.Done;
        });
    }

    /// <exception cref="WrongUsageException">There is nothing at <paramref name="path"/>.</exception>
    internal static string PathToStore(string path) => File.Exists(path) || Directory.Exists(path)
        ? Path.GetFullPath(path)
        : throw new WrongUsageException($"There is no file or folder at '{path}'.", "Check the path; it is read from the folder you are in.", "AISLE-7051");

    private static void Print(string name, PutResult put, Screen screen)
    {
        screen.WriteLine($"{name}  {put.Digest}");
        screen.Say($"{Amount.Bytes(put.Bytes)} in {put.Chunks} chunks, {put.NewChunks} of them new: {Amount.Bytes(put.StoredBytes)} stored, {put.Copies} copies each.");
        if (put.Copies < put.Wanted) screen.Say($"{put.Wanted} copies are wanted: the rest follow when more nodes are up (`aisle nodes`).");
    }
}
