using System.Text.Json.Serialization;

namespace Aisle.Ledger;

/// <summary>A job's number, given by the ledger and never used again. Written <c>job-7</c>, in JSON too.</summary>
[JsonConverter(typeof(LedgerNumberJson<JobId>))]
public readonly record struct JobId(long Number) : ILedgerNumber<JobId>, IComparable<JobId>
{
    public static string Prefix => "job-";

    public static JobId Of(long number) => new(number);

    public override string ToString() => $"{Prefix}{Number}";

    public int CompareTo(JobId other) => Number.CompareTo(other.Number);

    public static bool TryParse(string? text, out JobId id) => LedgerNumberJson<JobId>.TryParse(text, out id);

    public static bool operator <(JobId left, JobId right) => left.CompareTo(right) < 0;

    public static bool operator >(JobId left, JobId right) => left.CompareTo(right) > 0;

    public static bool operator <=(JobId left, JobId right) => left.CompareTo(right) <= 0;

    public static bool operator >=(JobId left, JobId right) => left.CompareTo(right) >= 0;
}
