using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Aisle.Ledger;

namespace Aisle.Head;

internal static class LedgerAgreement
{
    /// <summary>Largest JSON body the API takes, in bytes.</summary>
    private const int MaxBodyBytes = 1 << 20;

    /// <summary>Proposes; a refusal becomes the exception that the API answers with.</summary>
    public static async Task<LedgerAnswer> AgreeAsync(this ILedger ledger, LedgerCommand command, CancellationToken cancellationToken) =>
        await ledger.ProposeAsync(command, cancellationToken) switch
        {
            Refused refused => throw new AisleException(refused.Code, refused.What, refused.Next),
            var answer => answer,
        };

    /// <summary>A request's JSON body, whole and of the right shape, or an error that says what is wrong.</summary>
    public static async Task<T> ReadAsync<T>(this HttpContext context, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        if (context.Request.ContentLength is > MaxBodyBytes)
            throw new AisleException("AISLE-7012", $"The body has {context.Request.ContentLength} bytes; {MaxBodyBytes} are taken.", "Send less; data goes in by `aisle put`.");
        return await JsonSerializer.DeserializeAsync(context.Request.Body, type, cancellationToken) ?? throw new JsonException("The body is null.");
    }
}
