using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Aisle;
using Aisle.Artifacts;
using Aisle.Ledger;
using Aisle.Ledger.Transport;

// A member of a replicated ledger for the tests to kill, stop and ask: DIRECTORY MEMBER CLIENT-PORT then ADDRESS of m1, m2, … in order.
// A client sends a line and gets a line: a command as JSON → `done`, `session NUMBER`, `refused CODE`, or `!CODE LEADER`; `?` → revision, leader, applied
// entry, digest of the state; `=` → the same after a linearizable read; `#NAME` → the digests of its versions. Ends when its standard input does, or with 3
// when the ledger fails.
var (directory, member, port) = (args[0], ulong.Parse(args[1], CultureInfo.InvariantCulture), int.Parse(args[2], CultureInfo.InvariantCulture));
var addresses = args[3..].Select((address, at) => ((ulong)at + 1, IPEndPoint.Parse(address))).ToDictionary(pair => pair.Item1, pair => pair.Item2);
await using var node = await LedgerNode.OpenAsync(directory, new LedgerNodeOptions
{
    Member = member,
    Cluster = "00112233445566778899aabbccddeeff",
    FirstMembers = [.. addresses.Keys],
    Peers = new TcpPeersOptions { Listen = addresses[member], Addresses = addresses, Secret = "a secret of the tests"u8.ToArray(), Refused = refused => Console.Error.WriteLine(refused.Message) },
    Ledger = new LedgerOptions { SegmentBytes = 64 << 10 },
    LeaderWait = TimeSpan.FromSeconds(1),
});
using var listener = new TcpListener(IPAddress.Loopback, port);
listener.Start();
Console.Out.WriteLine("open");
_ = Task.Run(async () =>
{
    while (true)
    {
        var client = await listener.AcceptTcpClientAsync();
        _ = Task.Run(() => ServeAsync(client));
    }
});
var parent = Task.Run(Console.In.ReadToEnd);
if (await Task.WhenAny(parent, node.Ended) == parent) return 0;
Console.Error.WriteLine(node.Ended.Exception?.InnerException?.Message ?? "stopped");
return 3;

async Task ServeAsync(TcpClient client)
{
    using var owned = client;
    client.NoDelay = true;
    using var reader = new StreamReader(client.GetStream());
    await using var writer = new StreamWriter(client.GetStream()) { AutoFlush = true };
    try
    {
        while (await reader.ReadLineAsync() is { } line) await writer.WriteAsync(await AnswerAsync(line) + "\n");
    }
    catch (IOException)
    {
        // The client went away.
    }
}

async Task<string> AnswerAsync(string line)
{
    try
    {
        if (line is "?" or "=")
        {
            var state = line == "?" ? node.State : await node.ReadAsync();
            var status = node.Status;
            return string.Create(CultureInfo.InvariantCulture, $"{state.Revision} {status.Leader} {status.Applied} {Digest.Of(LedgerCodec.Write(state))}");
        }
        if (line.StartsWith('#')) return node.State.Names.TryGetValue(line[1..], out var name) ? string.Join(' ', name.History.Select(version => version.Digest)) : "";
        return await node.ProposeAsync(LedgerCodec.ReadCommand(Encoding.UTF8.GetBytes(line))) switch
        {
            SessionOpened opened => $"session {opened.Session.Number}",
            Refused refused => $"refused {refused.Code}",
            _ => "done",
        };
    }
    catch (AisleException e)
    {
        return $"!{e.Code} {(e as NotLeaderException)?.Leader ?? 0}";
    }
}
