using System.CommandLine;
using Aisle.Api;
using Aisle.Terminal;

namespace Aisle.Commands;

/// <summary>One use of a command: what was typed, where to print, and whom to ask.</summary>
public sealed class Call(ParseResult parsed, Screen screen)
{
    public Screen Screen => screen;

    public bool Json => screen.Json;

    /// <summary>What <c>--server</c> said, or null.</summary>
    public string? Server => parsed.GetValue(CommandLine.Server);

    public T Get<T>(Argument<T> argument) => parsed.GetRequiredValue(argument);

    public T? Get<T>(Option<T> option) => parsed.GetValue(option);

    /// <summary>A client of the data centre this command talks to; the caller disposes it.</summary>
    /// <exception cref="AisleException">AISLE-7002, 7007 or 7008: it is not known where that is, or with what token.</exception>
    public AisleClient Connect() => new(ServerLocation.Find(Server));
}
