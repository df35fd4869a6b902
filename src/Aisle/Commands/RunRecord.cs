using Aisle.Api;
using Aisle.Monitoring;

namespace Aisle.Commands;

/// <summary>What a run told of itself: of a job of the data centre, or of the folder of a program that trained without one.</summary>
internal static class RunRecord
{
    public static bool IsFolder(string target) => Directory.Exists(target);

    public static async Task<TimeLineSnapshot> TimeLineAsync(Call call, string target, CancellationToken cancellationToken)
    {
        if (IsFolder(target)) return TimeLineSnapshot.Parse(ReadFile(target, TimeLineSnapshot.Name));
        using var client = call.Connect();
        return TimeLineSnapshot.Parse(await client.TimeLineAsync(target, cancellationToken));
    }

    public static async Task<StepLog> StepsAsync(AisleClient client, string job, CancellationToken cancellationToken) => StepLogFile.Parse(await client.StepsAsync(job, cancellationToken));

    public static StepLog Steps(string folder) => StepLogFile.Parse(ReadFile(folder, StepLogFile.Name));

    private static byte[] ReadFile(string folder, string name)
    {
        const int most = 64 << 20;
        var path = Path.Combine(folder, name);
        if (!File.Exists(path)) throw new AisleException("AISLE-7053", $"{folder} has no {name}.", "Name a job, or the folder of a run that has made steps (`training` unless --folder said otherwise).");
        if (new FileInfo(path).Length > most) throw new AisleException("AISLE-7053", $"{path} is larger than such a file can be ({most} bytes).", "Name the folder of a run.");
        return File.ReadAllBytes(path);
    }
}
