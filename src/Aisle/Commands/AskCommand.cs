using System.CommandLine;

namespace Aisle.Commands;

public static class AskCommand
{
    public static Command Create()
    {
        var endpoint = new Argument<string>("ENDPOINT") { Description = "The endpoint's name" };
        var prompt = new Argument<string>("PROMPT") { Description = "The text to go on from" };
        var maxTokens = new Option<int?>("--max-tokens") { Description = "Most tokens to answer with", HelpName = "N" }.AtLeast(1);
        var temperature = new Option<double?>("--temperature") { Description = "0 for the likeliest words, 1 for the model's own spread", HelpName = "T" };
        temperature.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: var text }] && double.TryParse(text, out var value) && value is not (>= 0 and <= 10)) result.AddError($"--temperature is {value}; it must be from 0 to 10.");
        });
        return new Command("ask", "Ask a served model") { endpoint, prompt, maxTokens, temperature }.Does(async (call, cancellationToken) =>
        {
            using var client = call.Connect();
            if (call.Json)
            {
                var (text, reason) = await Completions.CompleteAsync(client, call.Get(endpoint), call.Get(prompt), call.Get(maxTokens), call.Get(temperature), cancellationToken);
                call.Screen.WriteJson(new AnswerView(call.Get(endpoint), text, reason), CommandJson.Default.AnswerView);
                return ExitCode.Done;
            }
            await foreach (var piece in Completions.StreamAsync(client, call.Get(endpoint), call.Get(prompt), call.Get(maxTokens), call.Get(temperature), cancellationToken))
                call.Screen.Write(piece);
            call.Screen.WriteLine("");
            return ExitCode.Done;
        });
    }
}
