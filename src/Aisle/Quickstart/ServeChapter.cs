using System.Text.Json;
using System.Text.Json.Nodes;
using Aisle.Api;
using Aisle.Commands;
using Spectre.Console;

namespace Aisle.Quickstart;

/// <summary>The model is measured on text it has not seen, served behind the OpenAI-style API, and asked.</summary>
internal sealed class ServeChapter(Narrator narrator, AisleClient client)
{
    public const string Endpoint = "quickstart";
    private const string Model = "models/quickstart";
    private const int MaxTokens = 40;
    private const double Temperature = 0.5;

    /// <returns>Bits per byte on held-out text.</returns>
    public async Task<double> TellAsync(Trained trained, CancellationToken cancellationToken)
    {
        var bits = await BitsPerByteAsync(trained, cancellationToken);
        narrator.Fact($"{bits:0.000} bits per byte on held-out text");
        var named = await client.NameAsync(Model, cancellationToken);
        if (named.Digest != trained.Model) throw new CheckFailedException($"{Model} points at {named.Digest.Short}, not at the model {trained.Model.Short} of this run.", "See `aisle history models/quickstart`.");

        narrator.Typed($"aisle deploy {Model} --as {Endpoint}");
        var endpoint = await DeployCommand.ReadyAsync(client, await client.DeployAsync(new DeployRequest(Model, Endpoint, 1), cancellationToken), cancellationToken);
        narrator.Fact($"{Model} ({named.Digest.Short}) answers at {endpoint.Url}");
        narrator.Event("deployed", new JsonObject { ["endpoint"] = Endpoint, ["url"] = endpoint.Url, ["model"] = named.Digest.ToString(), ["bitsPerByte"] = bits });

        Answer("Initializes a new instance of the", (await Completions.CompleteAsync(client, Endpoint, "Initializes a new instance of the", MaxTokens, Temperature, cancellationToken)).Text);
        await StreamAsync("Gets or sets the", cancellationToken);
        Answer("Returns true if the", (await Completions.ChatAsync(client, Endpoint, "Returns true if the", MaxTokens, Temperature, cancellationToken)).Text, "chat");
        return bits;
    }

    private async Task<double> BitsPerByteAsync(Trained trained, CancellationToken cancellationToken)
    {
        var json = await client.Artifacts.ReadEntryAsync(trained.Evaluation, "evaluation.json", cancellationToken: cancellationToken);
        try
        {
            return JsonDocument.Parse(json).RootElement.GetProperty("bitsPerByte").GetDouble();
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new CheckFailedException($"The evaluation {trained.Evaluation.Short} does not tell bits per byte ({e.Message}).", "Look at it with `aisle get`.");
        }
    }

    private async Task StreamAsync(string prompt, CancellationToken cancellationToken)
    {
        var text = "";
        narrator.Write("   " + prompt, new Style(decoration: Decoration.Bold));
        await foreach (var piece in Completions.StreamAsync(client, Endpoint, prompt, MaxTokens, Temperature, cancellationToken))
        {
            text += piece;
            narrator.Write(OneLine(piece));
        }
        narrator.Write("\n");
        Told(prompt, text, "stream");
    }

    private void Answer(string prompt, string answer, string way = "completion")
    {
        narrator.Write("   " + prompt, new Style(decoration: Decoration.Bold));
        narrator.Write((way == "chat" ? " " : "") + OneLine(answer) + "\n");
        Told(prompt, answer, way);
    }

    private void Told(string prompt, string answer, string way)
    {
        if (answer.Length == 0) throw new CheckFailedException($"The endpoint {Endpoint} answered nothing to \"{prompt}\" ({way}).", $"Ask it with `aisle ask {Endpoint}`, and look at `aisle status`.");
        narrator.Event("answer", new JsonObject { ["prompt"] = prompt, ["answer"] = answer, ["way"] = way });
    }

    private static string OneLine(string text) => text.ReplaceLineEndings(" ");
}
