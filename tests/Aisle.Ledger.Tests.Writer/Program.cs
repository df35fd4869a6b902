using Aisle.Artifacts;
using Aisle.Ledger;

// Writes to the ledger in DIRECTORY until it is killed: 8 proposers, each a name of its own that gains version after version.
// Prints `open REVISION` first, then `ack NAME VERSION` after each acknowledgement. The one who started it kills it and checks what it claimed.
var directory = args[0];
await using var ledger = await LedgerMember.OpenAsync(directory, new LedgerOptions { SegmentBytes = 16 << 10 });
Console.Out.WriteLine($"open {ledger.State.Revision}");
await Task.WhenAll(Enumerable.Range(0, 8).Select(ProposeForEverAsync));

async Task ProposeForEverAsync(int proposer)
{
    var name = $"proposer/{proposer}";
    var version = ledger.State.Names.GetValueOrDefault(name)?.Latest.Number ?? 0;
    while (true)
    {
        var move = new MoveName(name, Digest.Of($"{name} {version + 1}"), Expected: version) { At = DateTimeOffset.UnixEpoch };
        if (await ledger.ProposeAsync(move) is not Done) throw new InvalidOperationException($"{move} was refused.");
        version++;
        // One string, one write: a line is printed whole or not at all.
        Console.Out.Write($"ack {name} {version}\n");
    }
}
