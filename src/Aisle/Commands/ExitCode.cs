using System.Net;
using Aisle.Api;

namespace Aisle.Commands;

/// <summary>What a command's exit tells a script. A contract: numbers never change their meaning.</summary>
public static class ExitCode
{
    public const int Done = 0;

    /// <summary>The job or the check failed.</summary>
    public const int Failed = 1;

    public const int WrongUsage = 2;
    public const int Unreachable = 3;
    public const int NotAllowed = 4;
    public const int NotFound = 5;

    /// <summary>Ctrl-C, after cleaning up: 128 + SIGINT, as shells have it.</summary>
    public const int Interrupted = 130;

    public static int For(AisleException error) => error switch
    {
        ServerUnreachableException => Unreachable,
        ApiException { Status: HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden } => NotAllowed,
        ApiException { Status: HttpStatusCode.NotFound } => NotFound,
        ApiException { Status: HttpStatusCode.BadRequest or HttpStatusCode.UnprocessableEntity } => WrongUsage,
        WrongUsageException => WrongUsage,
        { Code: "AISLE-7002" } => Unreachable,
        { Code: "AISLE-7007" } => WrongUsage,
        { Code: "AISLE-7008" } => NotAllowed,
        _ => Failed,
    };
}

/// <summary>What was typed cannot be done as typed.</summary>
public sealed class WrongUsageException(string what, string next, string code = "AISLE-7050", Exception? inner = null) : AisleException(code, what, next, inner);
