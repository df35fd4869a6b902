using System.CommandLine;
using Aisle.Api;

namespace Aisle.Commands;

public static class DeployCommand
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan s_beat = TimeSpan.FromMilliseconds(200);

    public static Command Create()
    {
        var model = new Argument<string>("MODEL") { Description = "A name, name@alias, name@version or a digest of a model" };
        var endpoint = new Option<string>("--as") { Description = "The endpoint's name", HelpName = "ENDPOINT", Required = true };
        var replicas = new Option<string>("--replicas") { Description = "Processes that serve it: N or MIN..MAX", HelpName = "MIN..MAX", DefaultValueFactory = _ => "1" };
        var noWait = new Option<bool>("--no-wait") { Description = "Return before a replica is ready" };
        replicas.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: var text }] && ParseReplicas(text) is null) result.AddError($"--replicas is '{text}'; write N or MIN..MAX with 1 <= MIN <= MAX.");
        });
        return new Command("deploy", "Serve a model behind the OpenAI-style API") { model, endpoint, replicas, noWait }.Does(async (call, cancellationToken) =>
        {
            var (least, most) = ParseReplicas(call.Get(replicas)!)!.Value;
            if (most > least) call.Screen.Say($"Serving with {least}: replicas do not follow the traffic yet.");
            using var client = call.Connect();
            var view = await client.DeployAsync(new DeployRequest(call.Get(model), call.Get(endpoint)!, least), cancellationToken);
            if (!call.Get(noWait)) view = await ReadyAsync(client, view, cancellationToken);
            if (call.Json) call.Screen.WriteJson(view, ApiJson.Default.EndpointView);
            else
            {
                call.Screen.WriteLine($"{view.Name}  {view.Url}");
                call.Screen.Say($"{view.ModelName} ({view.Model.Short}), {view.Ready} of {view.Replicas} replicas ready. Try: aisle ask {view.Name} \"Returns the\"");
            }
            return ExitCode.Done;
        });
    }

    /// <summary>Waits until one replica answers.</summary>
    /// <exception cref="AisleException">AISLE-7053: the serving job ended, or none was ready within two minutes.</exception>
    internal static async Task<EndpointView> ReadyAsync(AisleClient client, EndpointView view, CancellationToken cancellationToken)
    {
        var start = TimeProvider.System.GetTimestamp();
        while (view.Ready == 0)
        {
            if (await client.JobAsync(view.Job, cancellationToken) is { State: "failed" or "cancelled" } job)
                throw new AisleException("AISLE-7053", $"{view.Job}, which serves {view.Name}, {job.State}{(job.Error is null ? "." : $": {job.Error}")}", $"Look at `aisle logs {view.Job}`.");
            if (TimeProvider.System.GetElapsedTime(start) > s_patience)
                throw new AisleException("AISLE-7053", $"No replica of {view.Name} is ready after {s_patience.TotalMinutes:0} minutes.", $"Look at `aisle logs {view.Job}` and `aisle nodes`.");
            await Task.Delay(s_beat, cancellationToken);
            view = (await client.EndpointsAsync(cancellationToken)).FirstOrDefault(other => other.Name == view.Name) ?? view;
        }
        return view;
    }

    internal static (int Least, int Most)? ParseReplicas(string text)
    {
        var parts = text.Split("..");
        return parts.Length is 1 or 2 && int.TryParse(parts[0], out var least) && int.TryParse(parts[^1], out var most) && least >= 1 && most >= least
            ? (least, most)
            : null;
    }
}
