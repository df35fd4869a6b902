using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Aisle.Artifacts;
using Aisle.Ledger;
using Aisle.Ledger.Transport;

namespace Aisle.Benchmarks.Ledger;

/// <summary>A member of our ledger in a process of its own. A client sends a line of `NAME DIGEST` pairs and hears `ok`, or why not.</summary>
internal static class LedgerMemberRole
{
    public const string Role = "ledger-member";

    /// <param name="args">Directory, member, port for clients, then the members' ports in order.</param>
    public static async Task<int> RunAsync(string[] args)
    {
        var (directory, member, clientPort) = (args[0], ulong.Parse(args[1], CultureInfo.InvariantCulture), int.Parse(args[2], CultureInfo.InvariantCulture));
        var addresses = args[3..].Select((port, at) => KeyValuePair.Create((ulong)at + 1, new IPEndPoint(IPAddress.Loopback, int.Parse(port, CultureInfo.InvariantCulture)))).ToImmutableDictionary();
        await using var node = await LedgerNode.OpenAsync(directory, new LedgerNodeOptions
        {
            Member = member,
            Cluster = "00112233445566778899aabbccddeeff",
            FirstMembers = [.. addresses.Keys.Order()],
            Peers = new TcpPeersOptions { Listen = addresses[member], Addresses = addresses, Secret = "the benchmark's secret"u8.ToArray() },
        });
        using var listener = new TcpListener(IPAddress.Loopback, clientPort);
        listener.Start();
        Console.WriteLine("open");
        _ = Task.Run(async () =>
        {
            while (true)
            {
                var client = await listener.AcceptTcpClientAsync();
                _ = Task.Run(() => ServeAsync(client, node));
            }
        });
        await Task.WhenAny(Task.Run(Console.In.ReadToEnd), node.Ended);
        return 0;
    }

    private static async Task ServeAsync(TcpClient client, LedgerNode node)
    {
        using var owned = client;
        client.NoDelay = true;
        using var reader = new StreamReader(client.GetStream());
        await using var writer = new StreamWriter(client.GetStream()) { AutoFlush = true };
        try
        {
            while (await reader.ReadLineAsync() is { } line) await writer.WriteAsync(line == "?" ? $"{node.Status.Leader}\n" : await WriteAsync(line, node) + "\n");
        }
        catch (IOException)
        {
            // The client went away.
        }
    }

    private static async Task<string> WriteAsync(string line, LedgerNode node)
    {
        try
        {
            var words = line.Split(' ');
            var answers = new Task<LedgerAnswer>[words.Length / 2];
            for (var i = 0; i < answers.Length; i++)
            {
                Digest.TryParse(words[2 * i + 1], out var digest);
                answers[i] = node.ProposeAsync(new MoveName(words[2 * i], digest) { At = DateTimeOffset.UnixEpoch });
            }
            return (await Task.WhenAll(answers)).All(answer => answer is Done) ? "ok" : "refused";
        }
        catch (AisleException e)
        {
            return e.Code;
        }
    }
}
