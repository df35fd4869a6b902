using System.Text.Json;
using Aisle.Commands;

namespace Aisle.Tests;

/// <summary>What a command line did when it was typed: exit code, data, talk.</summary>
public sealed record Typed(int Exit, string Output, string Error)
{
    static Typed()
    {
        Environment.SetEnvironmentVariable("AISLE_TOKEN", FakeDataCentre.Token);
        Environment.SetEnvironmentVariable("AISLE_SERVER", null);
        Environment.SetEnvironmentVariable("AISLE_HOME", Path.Combine(Path.GetTempPath(), "aisle-tests-no-home"));
    }

    /// <summary>The one JSON document on stdout.</summary>
    public JsonElement Json => JsonDocument.Parse(Output).RootElement;

    /// <summary>One JSON document a line.</summary>
    public JsonElement[] JsonLines => [.. Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement)];

    public static Task<Typed> AtAsync(FakeDataCentre server, params string[] args) => AtAsync(CancellationToken.None, [.. args, "--server", server.Url]);

    public static Task<Typed> AsIsAsync(params string[] args) => AtAsync(CancellationToken.None, args);

    public static async Task<Typed> AtAsync(CancellationToken cancellationToken, params string[] args)
    {
        var (output, error) = (new StringWriter(), new StringWriter());
        var exit = await CommandLine.RunAsync(Program.Commands(), args, output, error, cancellationToken);
        return new Typed(exit, output.ToString(), error.ToString());
    }
}
