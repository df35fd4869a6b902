namespace Aisle.Training.Exchange;

/// <summary>How numbers may travel between workers. What is quickest is chosen for each pair by itself; a narrower choice is for tests and measurements.</summary>
public enum ExchangeTransport
{
    /// <summary>On one host numbers stay in shared memory and only their place is sent; else over TCP.</summary>
    Automatic,

    /// <summary>Over Unix sockets on one host, else over TCP.</summary>
    Sockets,

    /// <summary>Over TCP, also on one host.</summary>
    Tcp,
}

/// <summary>The choice that the environment makes.</summary>
public static class ExchangeTransports
{
    public const string Variable = "AISLE_EXCHANGE";

    /// <summary>From <c>AISLE_EXCHANGE</c>: <c>automatic</c>, <c>sockets</c> or <c>tcp</c>; automatic when it is not set.</summary>
    /// <exception cref="AisleException">AISLE-5141: it is set to something else.</exception>
    public static ExchangeTransport FromEnvironment() => Environment.GetEnvironmentVariable(Variable) switch
    {
        null or "" or "automatic" => ExchangeTransport.Automatic,
        "sockets" => ExchangeTransport.Sockets,
        "tcp" => ExchangeTransport.Tcp,
        var other => throw new AisleException("AISLE-5141", $"{Variable} is '{(other.Length <= 40 ? other : other[..40] + "…")}'.", "Set it to automatic, sockets or tcp, or leave it out."),
    };
}
