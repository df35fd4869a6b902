using System.Net;
using Aisle.Training.Checkpoints;

namespace Aisle.Training.Programs;

/// <summary>
/// How a program learns of the run that it was started for: through its environment, because its command line belongs to its user. Secrets stand in a file
/// that only its owner may read, because an environment can be read by other processes of the same user.
/// </summary>
public sealed record RunEnvironment
{
    public const string CoordinatorVariable = "AISLE_COORDINATOR";
    public const string SecretFileVariable = "AISLE_TRAINING_SECRET_FILE";
    public const string NameVariable = "AISLE_WORKER_NAME";
    public const string StoreVariable = "AISLE_STORE";
    public const string ScratchVariable = "AISLE_SCRATCH";

    /// <summary><c>host:port</c>.</summary>
    public required IPEndPoint Coordinator { get; init; }

    /// <summary>Holds the run's secret in hex; readable by its owner alone.</summary>
    public required string SecretFile { get; init; }

    public required string WorkerName { get; init; }

    /// <summary>A folder, or <c>unix:</c> and the path of a socket that <see cref="CheckpointSocket"/> serves.</summary>
    public required string Store { get; init; }

    /// <summary>This worker's own folder, for files on their way.</summary>
    public required string Scratch { get; init; }

    /// <summary>What the environment says; null when nobody started this program for a run.</summary>
    /// <exception cref="AisleException">AISLE-5174: only a part of it is there, or it makes no sense.</exception>
    public static RunEnvironment? Read(Func<string, string?> variable)
    {
        string[] names = [CoordinatorVariable, SecretFileVariable, NameVariable, StoreVariable, ScratchVariable];
        var missing = names.Where(name => string.IsNullOrEmpty(variable(name))).ToList();
        if (missing.Contains(CoordinatorVariable)) return null;
        if (missing.Count > 0) throw Wrong($"{string.Join(", ", missing)} {(missing.Count == 1 ? "is" : "are")} not set beside {CoordinatorVariable}");
        if (!IPEndPoint.TryParse(variable(CoordinatorVariable)!, out var coordinator) || coordinator.Port == 0) throw Wrong($"{CoordinatorVariable} is '{variable(CoordinatorVariable)}', not an address and port");
        return new RunEnvironment
        {
            Coordinator = coordinator,
            SecretFile = variable(SecretFileVariable)!,
            WorkerName = variable(NameVariable)!,
            Store = variable(StoreVariable)!,
            Scratch = variable(ScratchVariable)!,
        };
    }

    /// <summary>As the started program will read it.</summary>
    public IEnumerable<KeyValuePair<string, string>> ToVariables() =>
    [
        new(CoordinatorVariable, Coordinator.ToString()), new(SecretFileVariable, SecretFile), new(NameVariable, WorkerName), new(StoreVariable, Store), new(ScratchVariable, Scratch),
    ];

    /// <summary>Writes a new secret where only this user can read it.</summary>
    public static void WriteSecret(string path, ReadOnlySpan<byte> secret)
    {
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using var file = new FileStream(path, options);
        file.Write(System.Text.Encoding.ASCII.GetBytes(Convert.ToHexStringLower(secret)));
    }

    /// <exception cref="AisleException">AISLE-5174: it is not there, holds no secret, or others may read it.</exception>
    public byte[] ReadSecret()
    {
        const UnixFileMode others = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.OtherRead | UnixFileMode.OtherWrite;
        try
        {
            var file = new FileInfo(SecretFile);
            if (file.Length > 1024) throw Wrong($"{SecretFile} holds {file.Length} bytes, more than a secret has");
            if ((file.UnixFileMode & others) != 0) throw Wrong($"{SecretFile} can be read or written by others");
            return Convert.FromHexString(File.ReadAllText(SecretFile).Trim()) is { Length: >= 16 } secret ? secret : throw Wrong($"{SecretFile} holds a secret of fewer than 16 bytes");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            throw Wrong($"{SecretFile}: {e.Message}");
        }
    }

    internal ICheckpointStore OpenStore() => Store.StartsWith("unix:", StringComparison.Ordinal) ? new SocketCheckpointStore(Store["unix:".Length..]) : new FolderCheckpointStore(Store);

    private static AisleException Wrong(string what) =>
        new("AISLE-5174", $"The environment that this worker was started with makes no sense: {what}.", $"Start it with `aisle launch`, or unset {CoordinatorVariable} to run it alone.");
}
