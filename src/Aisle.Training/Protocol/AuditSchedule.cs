using System.Buffers.Binary;
using System.IO.Hashing;
using Aisle.Artifacts;

namespace Aisle.Training.Protocol;

/// <summary>
/// Which slices of a step a second worker computes as well. A pure function of (run, step, who computes what): it decides who finds out, never what
/// the model becomes. Audits come in rounds in which every worker has equally many of its slices audited and audits as many, so that nobody waits.
/// </summary>
public static class AuditSchedule
{
    /// <summary>How many slices of each worker are audited in this step. Over many steps <paramref name="fraction"/> of all slices are.</summary>
    public static int PerWorker(Digest run, long step, int slices, int workers, double fraction)
    {
        if (fraction <= 0 || workers < 2) return 0;
        if (fraction >= 1) return slices;
        var rate = fraction * slices / workers;
        var phase = Draw(run, 0, 0) * Math.Pow(2, -64);
        return (int)(Math.Floor((step + 1) * rate + phase) - Math.Floor(step * rate + phase));
    }

    /// <summary>At most <paramref name="count"/> of a unit's slices, drawn by the run and the step.</summary>
    public static IEnumerable<int> Of(Digest run, long step, SliceSet unit, int count) =>
        unit.Slices().OrderBy(slice => Draw(run, step, slice + 1)).Take(count).Order();

    private static ulong Draw(Digest run, long step, int what)
    {
        Span<byte> key = stackalloc byte[Digest.SizeBytes + 12];
        run.CopyTo(key);
        BinaryPrimitives.WriteInt64LittleEndian(key[Digest.SizeBytes..], step);
        BinaryPrimitives.WriteInt32LittleEndian(key[(Digest.SizeBytes + 8)..], what);
        return XxHash3.HashToUInt64(key);
    }
}
