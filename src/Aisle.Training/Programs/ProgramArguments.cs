namespace Aisle.Training.Programs;

/// <summary>What may be written behind a training program's name.</summary>
internal sealed record ProgramArguments(string Folder, bool Fresh, bool Help)
{
    public const string DefaultFolder = "training";

    /// <exception cref="AisleException">AISLE-5173: something else was written; the message names every one.</exception>
    public static ProgramArguments Parse(IReadOnlyList<string> args)
    {
        var (folder, fresh, help) = (DefaultFolder, false, false);
        List<string> faults = [];
        for (var i = 0; i < args.Count; i++)
        {
            switch (args[i])
            {
                case "--folder" when i + 1 < args.Count && args[i + 1] is { Length: > 0 } named:
                    folder = named;
                    i++;
                    break;
                case "--folder":
                    faults.Add("--folder needs a path behind it");
                    break;
                case "--fresh":
                    fresh = true;
                    break;
                case "--resume": // what happens anyway
                    break;
                case "--help" or "-h":
                    help = true;
                    break;
                default:
                    faults.Add($"'{(args[i].Length <= 60 ? args[i] : args[i][..60] + "…")}' is none of --folder, --fresh, --resume and --help");
                    break;
            }
        }
        return faults.Count == 0
            ? new ProgramArguments(folder, fresh, help)
            : throw new AisleException("AISLE-5173", $"This cannot be done as typed: {string.Join("; ", faults)}.", "Take out arguments of your own before you hand the rest to TrainingProgram; --help shows its own.");
    }

    public static string HelpText => $"""
        Trains the model that this program describes, alone or as a worker that `aisle launch` or a cluster started.

          --folder PATH   Where states and the model go (default: {DefaultFolder})
          --fresh         Start anew, and forget what an earlier run left in the folder
          --resume        Go on from the newest state in the folder (happens anyway)

        With several workers:  aisle launch -n 4 -- dotnet run -c Release
        """;
}
