using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Aisle.Head;

/// <summary>
/// Where a training job's workers look for their coordinator, and what they prove to know. Kept beside the job's record: when this process is lost, the coordinator
/// that the next one starts sits in the same place, and the workers find it. Without the file it sits elsewhere, and workers are placed anew.
/// </summary>
/// <param name="Port">0 before the first start.</param>
/// <param name="Secret">In hex; of this job and no other.</param>
internal sealed record CoordinatorSeat(int Port, string Secret)
{
    private const string FileName = "coordinator.json";
    private const int SecretBytes = 32;

    /// <summary>Nodes on which a worker of the job computed wrongly.</summary>
    public IReadOnlyList<string> Shunned { get; init; } = [];

    /// <summary>The job's seat, as it was kept or new.</summary>
    public static CoordinatorSeat Of(string recordFolder)
    {
        try
        {
            if (JsonSerializer.Deserialize(File.ReadAllBytes(Path.Combine(recordFolder, FileName)), SeatJson.Default.CoordinatorSeat) is { Port: >= 0 and <= ushort.MaxValue } kept
                && kept.Secret.Length == 2 * SecretBytes && kept.Secret.All(char.IsAsciiHexDigit)) return kept;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException or JsonException)
        {
            // None was kept, or not to its end.
        }
        return new CoordinatorSeat(0, Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(SecretBytes)));
    }

    /// <summary>Before any worker is told of it. The folder is there. For the owner's eyes only from the first moment on.</summary>
    public void Keep(string recordFolder)
    {
        var written = Path.Combine(recordFolder, FileName + ".new");
        File.Delete(written);
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using (var file = new FileStream(written, options))
        {
            JsonSerializer.Serialize(file, this, SeatJson.Default.CoordinatorSeat);
        }
        File.Move(written, Path.Combine(recordFolder, FileName), overwrite: true);
    }

    // A record prints all its fields; this one must not print its secret.
    public override string ToString() => $"port {Port}";
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(CoordinatorSeat))]
internal sealed partial class SeatJson : JsonSerializerContext;
