using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Aisle.Api;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Aisle.Terminal;

/// <summary>Where a command prints: data on stdout, talk on stderr, colour and moving parts only on a terminal. One thread prints at a time.</summary>
public sealed class Screen
{
    private readonly TextWriter _output;

    private Screen(TextWriter output, TextWriter error, bool json, bool outputIsTerminal, bool errorIsTerminal)
    {
        _output = output;
        Json = json;
        Out = Open(output, outputIsTerminal);
        Talk = Open(error, errorIsTerminal);
    }

    public static Screen On(TextWriter output, TextWriter error, bool json) => new(
        output, error, json,
        outputIsTerminal: ReferenceEquals(output, Console.Out) && !Console.IsOutputRedirected,
        errorIsTerminal: ReferenceEquals(error, Console.Error) && !Console.IsErrorRedirected);

    /// <summary>Data goes out as JSON, and talk is only errors.</summary>
    public bool Json { get; }

    /// <summary>Data.</summary>
    public IAnsiConsole Out { get; }

    /// <summary>Talk.</summary>
    public IAnsiConsole Talk { get; }

    /// <summary>One JSON document on one line.</summary>
    public void WriteJson<T>(T value, JsonTypeInfo<T> type)
    {
        _output.WriteLine(JsonSerializer.Serialize(value, type));
        _output.Flush();
    }

    /// <summary>One line of data, as it is.</summary>
    public void WriteLine(string text) => _output.WriteLine(text);

    /// <summary>Part of a line of data, seen at once.</summary>
    public void Write(string text)
    {
        _output.Write(text);
        _output.Flush();
    }

    public void Write(IRenderable data) => Out.Write(data);

    /// <summary>One line for the person who typed; nothing with <c>--json</c>.</summary>
    public void Say(string text)
    {
        if (!Json) Talk.WriteLine(text);
    }

    public void Error(AisleException error)
    {
        if (Json)
        {
            Talk.Profile.Out.Writer.WriteLine(JsonSerializer.Serialize(
                new ErrorEnvelope(new ErrorView(error.Code, error.What, error.Next)), ApiJson.Default.ErrorEnvelope));
            return;
        }
        Talk.Write(new Text("error ", new Style(Color.Red, decoration: Decoration.Bold)));
        Talk.WriteLine($"{error.Code}: {error.What}");
        Talk.WriteLine($"next: {error.Next}");
    }

    private static IAnsiConsole Open(TextWriter writer, bool terminal)
    {
        var colour = terminal && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"));
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(writer),
            Ansi = terminal ? AnsiSupport.Detect : AnsiSupport.No,
            ColorSystem = colour ? ColorSystemSupport.Detect : ColorSystemSupport.NoColors,
            Interactive = terminal ? InteractionSupport.Detect : InteractionSupport.No,
            Enrichment = new ProfileEnrichment { UseDefaultEnrichers = false },
        });
        // Text for a file or another program is never folded.
        if (!terminal) console.Profile.Width = 4096;
        return console;
    }
}
