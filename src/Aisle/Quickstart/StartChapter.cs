using System.Text.Json.Nodes;
using Aisle.Up;

namespace Aisle.Quickstart;

/// <summary>Three node processes on loopback, each with its own directory, agent and disk store.</summary>
internal sealed class StartChapter(Narrator narrator, WorkingFolder folder, bool stays)
{
    private const int Nodes = 3;

    public async Task<LocalDataCentre> TellAsync(CancellationToken cancellationToken)
    {
        narrator.Typed($"aisle up --nodes {Nodes} --port 0");
        var centre = await LocalDataCentre.StartAsync(folder.Path, Nodes, stays, cancellationToken);
        narrator.Fact($"{string.Join(", ", centre.Ready.Nodes.Select(node => $"{node.Name} (pid {node.Pid})"))} are up at {centre.Ready.Url}");
        narrator.Event("ready", new JsonObject
        {
            ["url"] = centre.Ready.Url,
            ["tokenFile"] = centre.Ready.TokenFile,
            ["dir"] = centre.Ready.Dir,
            ["pid"] = centre.Pid,
            ["nodes"] = new JsonArray([.. centre.Ready.Nodes.Select(Describe)]),
        });
        return centre;
    }

    private static JsonObject Describe(UpNode node) => new() { ["name"] = node.Name, ["pid"] = node.Pid, ["dir"] = node.Dir };
}
