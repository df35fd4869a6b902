using System.Text.Json.Serialization;

namespace Aisle.Ledger;

/// <summary>A session's number, given by the ledger and never used again. Written <c>session-7</c>, in JSON too.</summary>
[JsonConverter(typeof(LedgerNumberJson<SessionId>))]
public readonly record struct SessionId(long Number) : ILedgerNumber<SessionId>, IComparable<SessionId>
{
    public static string Prefix => "session-";

    public static SessionId Of(long number) => new(number);

    public override string ToString() => $"{Prefix}{Number}";

    public int CompareTo(SessionId other) => Number.CompareTo(other.Number);

    public static bool operator <(SessionId left, SessionId right) => left.CompareTo(right) < 0;

    public static bool operator >(SessionId left, SessionId right) => left.CompareTo(right) > 0;

    public static bool operator <=(SessionId left, SessionId right) => left.CompareTo(right) <= 0;

    public static bool operator >=(SessionId left, SessionId right) => left.CompareTo(right) >= 0;
}
