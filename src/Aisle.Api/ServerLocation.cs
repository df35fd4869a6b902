using System.Text.Json;

namespace Aisle.Api;

/// <summary>Which server a command talks to, and with what token: what is said, else the environment, else the data centre last started by this user.</summary>
public sealed record ServerLocation(Uri Url, string Token)
{
    /// <summary>Folder of this user's Aisle files: <c>AISLE_HOME</c>, else <c>~/.aisle</c>.</summary>
    public static string Home => Environment.GetEnvironmentVariable("AISLE_HOME") is { Length: > 0 } home
        ? home
        : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".aisle");

    public static string CurrentFile => Path.Combine(Home, "current.json");

    /// <param name="server">What <c>--server</c> said, or null.</param>
    /// <exception cref="AisleException">AISLE-7002: no server is known, or its token cannot be read.</exception>
    public static ServerLocation Find(string? server)
    {
        var current = ReadCurrent();
        var address = server ?? NotEmpty("AISLE_SERVER") ?? current?.Url
            ?? throw new AisleException("AISLE-7002", "No data centre is known here.", "Start one with `aisle up`, or name one with --server or AISLE_SERVER.");
        if (!Uri.TryCreate(address.EndsWith('/') ? address : address + "/", UriKind.Absolute, out var url) || url.Scheme is not ("http" or "https"))
            throw new AisleException("AISLE-7007", $"'{address}' is not a server's address.", "Write it like http://127.0.0.1:7070.");
        return new ServerLocation(url, NotEmpty("AISLE_TOKEN") ?? ReadToken(NotEmpty("AISLE_TOKEN_FILE") ?? current?.TokenFile));
    }

    private static string? NotEmpty(string variable) => Environment.GetEnvironmentVariable(variable) is { Length: > 0 } value ? value : null;

    private static string ReadToken(string? file)
    {
        if (file is null) throw new AisleException("AISLE-7008", "No token is known for that server.", "Set AISLE_TOKEN_FILE to the file that `aisle up` printed.");
        try
        {
            return File.ReadAllText(file).Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new AisleException("AISLE-7008", $"The token file {file} cannot be read ({e.Message})", "Set AISLE_TOKEN_FILE to the file that `aisle up` printed, as its owner.", e);
        }
    }

    private static DataCentreFile? ReadCurrent()
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(CurrentFile), ApiJson.Default.DataCentreFile);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            return null;
        }
    }
}
