using System.Security.Cryptography.X509Certificates;

namespace Aisle.Identity;

/// <summary>How long certificates live, and how far two clocks may differ.</summary>
public static class CertificateLife
{
    public static TimeSpan OfNode => TimeSpan.FromHours(24);

    public static TimeSpan OfAuthority => TimeSpan.FromDays(3650);

    /// <summary>Clocks that differ by less are as good as equal: a certificate counts this much before its first moment and after its last.</summary>
    public static TimeSpan ClockTolerance => TimeSpan.FromMinutes(5);

    /// <summary>Two thirds of the life: a third is left for an authority that cannot be reached.</summary>
    public static DateTimeOffset RenewalDue(X509Certificate2 certificate) => Begin(certificate) + (End(certificate) - Begin(certificate)) * 2 / 3;

    internal static DateTimeOffset Begin(X509Certificate2 certificate) => new(certificate.NotBefore.ToUniversalTime());

    internal static DateTimeOffset End(X509Certificate2 certificate) => new(certificate.NotAfter.ToUniversalTime());

    /// <returns>Null when the certificate is valid now; AISLE-8032 when it has expired, AISLE-8033 when it is not valid yet.</returns>
    internal static Refusal? Check(X509Certificate2 certificate, string whose, DateTimeOffset now)
    {
        if (now > End(certificate) + ClockTolerance)
        {
            return new("AISLE-8032", $"The certificate of {whose} expired at {End(certificate):u}, and it is {now:u} here.",
                "If the clock here is right, that node could not renew: see its log, and join it again with a new token. If not, set the clock.");
        }
        if (now < Begin(certificate) - ClockTolerance)
        {
            return new("AISLE-8033", $"The certificate of {whose} is valid from {Begin(certificate):u} on, and it is {now:u} here: the clocks differ by {(Begin(certificate) - now).TotalMinutes:0} minutes or more.",
                $"Set the clocks of both machines (NTP); up to {ClockTolerance.TotalMinutes:0} minutes are tolerated.");
        }
        return null;
    }

    /// <returns>AISLE-8023 when two clocks differ by more than is tolerated.</returns>
    internal static Refusal? CheckClocks(DateTimeOffset theirs, DateTimeOffset ours)
    {
        var apart = (theirs - ours).Duration();
        return apart <= ClockTolerance
            ? null
            : new("AISLE-8023", $"The cluster's clock says {theirs:u} and the clock here {ours:u}: {apart.TotalMinutes:0} minutes apart.",
                $"Set the clock here (NTP); up to {ClockTolerance.TotalMinutes:0} minutes are tolerated.");
    }
}
