using System.Net;

namespace Aisle.Api;

/// <summary>The server understood and said no; the error is the server's own.</summary>
public sealed class ApiException(HttpStatusCode status, ErrorView error) : AisleException(error.Code, error.What, error.Next)
{
    public HttpStatusCode Status { get; } = status;
}

/// <summary>Nothing answered at the server's address.</summary>
public sealed class ServerUnreachableException(Uri server, Exception inner) : AisleException(
    code: "AISLE-7003",
    what: $"Nothing answers at {server} ({inner.GetBaseException().Message})",
    next: "Start a data centre with `aisle up`, or name another with --server or AISLE_SERVER.",
    inner: inner);
