using System.Text.Json;
using Aisle.Api;
using Aisle.Artifacts;
using Aisle.Ledger;

namespace Aisle.Node;

/// <summary>Turns exceptions into the contract's error body and a fitting status.</summary>
internal static class ErrorResponses
{
    public static Task RefuseAsync(this HttpContext context, int status, ErrorView error)
    {
        context.Response.StatusCode = status;
        return context.Response.WriteAsJsonAsync(new ErrorEnvelope(error), ApiJson.Default.ErrorEnvelope);
    }

    public static async Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        try
        {
            await next(context);
        }
        catch (AisleException e) when (!context.Response.HasStarted)
        {
            await context.RefuseAsync(StatusOf(e), new ErrorView(e.Code, e.What, e.Next));
        }
        catch (BadHttpRequestException e) when (!context.Response.HasStarted)
        {
            await context.RefuseAsync(e.StatusCode, new ErrorView("AISLE-7010", $"The request is malformed: {e.Message}", "See docs/api.md for the shapes."));
        }
        catch (JsonException e) when (!context.Response.HasStarted)
        {
            await context.RefuseAsync(StatusCodes.Status400BadRequest, new ErrorView("AISLE-7010", $"The request's body is malformed: {e.Message}", "See docs/api.md for the shapes."));
        }
        catch (Exception e) when (e is System.Text.DecoderFallbackException or ArgumentException or FormatException or EndOfStreamException && !context.Response.HasStarted)
        {
            await context.RefuseAsync(StatusCodes.Status400BadRequest, new ErrorView("AISLE-7010", $"The request is malformed: {e.Message}", "See docs/api.md for the shapes."));
        }
        catch (Exception) when (context.RequestAborted.IsCancellationRequested)
        {
            // The caller left; there is nobody to tell.
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException && !context.Response.HasStarted)
        {
            await context.RefuseAsync(StatusCodes.Status500InternalServerError,
                new ErrorView("AISLE-7011", $"The node could not read or write: {e.Message}", "Run `aisle doctor` on that machine."));
        }
    }

    private static int StatusOf(AisleException e) => e switch
    {
        ArtifactMissingException or { Code: "AISLE-3032" } => StatusCodes.Status404NotFound,
        ApiException relayed => (int)relayed.Status,
        { Code: LedgerCodes.NameNotFound or LedgerCodes.JobNotFound or LedgerCodes.EndpointNotFound or LedgerCodes.NotInHistory } => StatusCodes.Status404NotFound,
        { Code: LedgerCodes.VersionConflict or LedgerCodes.JobFinished or LedgerCodes.Divergence } => StatusCodes.Status409Conflict,
        { Code: LedgerCodes.WriteFailed or LedgerCodes.Stopped } => StatusCodes.Status503ServiceUnavailable,
        DiskFullException => StatusCodes.Status507InsufficientStorage,
        TooFewCopiesException => StatusCodes.Status503ServiceUnavailable,
        _ => StatusCodes.Status400BadRequest,
    };
}
