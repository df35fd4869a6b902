using System.Security.Cryptography;
using System.Text;
using Aisle.Api;

namespace Aisle.Node;

/// <summary>Every request but the health check carries the data centre's token; compared in constant time.</summary>
internal sealed class TokenAuthentication(string token)
{
    private const string Scheme = "Bearer ";
    private readonly byte[] _expected = SHA256.HashData(Encoding.UTF8.GetBytes(token));

    public Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        if (context.Request.Path == "/healthz" || IsKnown(context.Request.Headers.Authorization.ToString())) return next(context);
        context.Response.Headers.WWWAuthenticate = "Bearer";
        return context.RefuseAsync(StatusCodes.Status401Unauthorized, new ErrorView(
            "AISLE-7001", "This request carries no token that this data centre knows.", "Set AISLE_TOKEN or AISLE_TOKEN_FILE to the token that `aisle up` wrote."));
    }

    // Hashed first, so that lengths are equal and the comparison says nothing about where they differ.
    private bool IsKnown(string header) =>
        header.StartsWith(Scheme, StringComparison.Ordinal) &&
        CryptographicOperations.FixedTimeEquals(_expected, SHA256.HashData(Encoding.UTF8.GetBytes(header[Scheme.Length..])));
}
