using System.Text.Json;
using System.Text.Json.Serialization;
using Aisle.Artifacts;
using Aisle.Monitoring;
using Aisle.Tensors;
using Aisle.Training.Checkpoints;

namespace Aisle.Training.Programs;

/// <summary>
/// One run's folder on a disk: its states and its model in <c>store/</c>, what is the newest in <c>run.json</c>, and <c>model</c>, a link to the finished
/// model. Beside them what the run tells (<see cref="RunRecorder"/>). Open while a run uses it: a second one is refused. Not thread-safe; call it from the coordinator's events.
/// </summary>
public sealed class RunFolder : IDisposable
{
    private const int KeptCheckpoints = 3;
    private const int MostBytes = 1 << 20;
    private const string NotesFile = "run.json";
    private readonly FileStream _lock;
    private RunNotes _notes;
    private RunRecorder? _recorder;

    private RunFolder(string path, FileStream locked, RunNotes notes)
    {
        (Path, _lock, _notes) = (path, locked, notes);
        Store = new FolderCheckpointStore(StorePath);
    }

    /// <summary>Absolute.</summary>
    public string Path { get; }

    /// <summary>What workers on this machine store to.</summary>
    public string StorePath => System.IO.Path.Combine(Path, "store");

    public FolderCheckpointStore Store { get; }

    /// <summary>The newest state that can be gone on from; null for the beginning.</summary>
    public (long Step, Digest Digest)? Newest => NewestOf(_notes);

    /// <summary>What the run's recipe is known to be; null until a run has stored something.</summary>
    public Digest? Recipe => _notes.Recipe;

    /// <summary>The finished model; null before the run's end.</summary>
    public Digest? Model => _notes.Model;

    public string ModelPath => System.IO.Path.Combine(Path, "model");

    /// <param name="fresh">Forgets what an earlier run left here.</param>
    /// <exception cref="AisleException">AISLE-5171: another run is using it. AISLE-5172: its notes cannot be read.</exception>
    public static RunFolder Open(string path, bool fresh)
    {
        var full = System.IO.Path.GetFullPath(path);
        Directory.CreateDirectory(full);
        var locked = Lock(full);
        try
        {
            var folder = new RunFolder(full, locked, fresh ? new RunNotes() : ReadNotes(System.IO.Path.Combine(full, NotesFile)));
            if (fresh) folder.Forget();
            Directory.CreateDirectory(folder.StorePath);
            return folder;
        }
        catch
        {
            locked.Dispose();
            throw;
        }
    }

    /// <summary>Looks at a folder that another process has open, without taking it: where the run stands.</summary>
    /// <exception cref="AisleException">AISLE-5172: its notes cannot be read.</exception>
    internal static ((long Step, Digest Digest)? Newest, Digest? Model, ICheckpointStore Store) Look(string path, bool fresh)
    {
        var notes = fresh ? new RunNotes() : ReadNotes(System.IO.Path.Combine(path, NotesFile));
        return (NewestOf(notes), notes.Model, new FolderCheckpointStore(System.IO.Path.Combine(System.IO.Path.GetFullPath(path), "store")));
    }

    /// <summary>The states that a run's folder keeps, each with the folder it lies in, also while the run uses it.</summary>
    /// <exception cref="AisleException">AISLE-5172: the folder's notes cannot be read.</exception>
    public static IReadOnlyDictionary<long, string> StatesIn(string path)
    {
        var store = new FolderCheckpointStore(System.IO.Path.Combine(path, "store"));
        return ReadNotes(System.IO.Path.Combine(path, NotesFile)).Checkpoints.Select(state => (state.Step, Folder: store.PathOf(state.Digest)))
            .Where(state => Directory.Exists(state.Folder)).DistinctBy(state => state.Step).ToDictionary(state => state.Step, state => state.Folder);
    }

    /// <summary>Names of the parts of the weights, where the run noted them; else empty.</summary>
    public static IReadOnlyList<TensorSlot> TensorsIn(string path)
    {
        var notes = ReadNotes(System.IO.Path.Combine(path, NotesFile)).Tensors;
        var slots = new List<TensorSlot>();
        foreach (var (name, length) in notes)
        {
            // What does not add up is not trusted: the comparison then speaks of all weights as one.
            if (length < 0 || slots.Sum(slot => (long)slot.Length) + length > int.MaxValue) return [];
            slots.Add(new TensorSlot(name, [length], slots.Sum(slot => slot.Length), Decays: false));
        }
        return slots;
    }

    /// <summary>Refuses to go on with another run's states.</summary>
    /// <exception cref="AisleException">AISLE-5170: they are of another recipe.</exception>
    public void Expect(Digest recipe)
    {
        if (_notes.Recipe is { } theirs && theirs != recipe)
        {
            throw new AisleException(
                "AISLE-5170", $"{Path} holds a run of recipe {theirs.Short}, and this program's is {recipe.Short}: steps, slices, optimiser, seed or model are not the same.",
                "Give --fresh to start anew there and forget that run, or --folder for a place of its own.");
        }
    }

    /// <summary>Begins to keep every step's figures, times and weights hash in the folder, and a TensorBoard file; without it, <see cref="Record"/> notes only what is stored.</summary>
    public void StartRecord(DateTimeOffset startedAt, Action<string>? odd, TrainingRecipe? recipe, IReadOnlyList<TensorSlot> tensors)
    {
        if (tensors.Count > 0) Write(_notes with { Tensors = [.. tensors.OrderBy(tensor => tensor.Offset).Select(tensor => new NamedPart(tensor.Name, tensor.Length))] });
        _recorder = new RunRecorder(Path, startedAt, tensorBoard: true, odd);
        if (recipe is not null) _recorder.Describe(recipe);
    }

    /// <summary>Notes what an event says is stored, before anybody is told; older states than the newest few are deleted.</summary>
    public void Record(TrainingEvent happened, Digest recipe)
    {
        _recorder?.Add(happened);
        switch (happened)
        {
            case CheckpointSaved saved:
                var kept = _notes.Checkpoints.Where(checkpoint => checkpoint.Step < saved.Step).Append(new StoredState(saved.Step, saved.Digest)).TakeLast(KeptCheckpoints).ToList();
                var dropped = _notes.Checkpoints.Except(kept).ToList();
                Write(_notes with { Recipe = recipe, Checkpoints = kept });
                foreach (var (_, digest) in dropped) DeleteFolder(Store.PathOf(digest));
                break;
            case ModelSaved saved:
                Write(_notes with { Recipe = recipe, Model = saved.Digest });
                if (IsLink(ModelPath)) File.Delete(ModelPath);
                Directory.CreateSymbolicLink(ModelPath, System.IO.Path.GetRelativePath(Path, Store.PathOf(saved.Digest)));
                break;
        }
    }

    public void Dispose()
    {
        _recorder?.Dispose();
        _lock.Dispose();
    }

    private static (long, Digest)? NewestOf(RunNotes notes) => notes.Checkpoints is [.., var last] ? (last.Step, last.Digest) : null;

    private void Forget()
    {
        Write(new RunNotes());
        if (IsLink(ModelPath)) File.Delete(ModelPath);
        DeleteFolder(StorePath);
        DeleteFolder(System.IO.Path.Combine(Path, "tensorboard"));
        File.Delete(System.IO.Path.Combine(Path, StepLogFile.Name));
        File.Delete(System.IO.Path.Combine(Path, TimeLineSnapshot.Name));
    }

    private static bool IsLink(string path) => new FileInfo(path).LinkTarget is not null;

    private static void DeleteFolder(string path)
    {
        if (Directory.Exists(path)) Directory.Delete(path, recursive: true);
    }

    private static FileStream Lock(string folder)
    {
        try
        {
            return new FileStream(System.IO.Path.Combine(folder, ".lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e)
        {
            throw new AisleException("AISLE-5171", $"{folder} cannot be taken for this run: {e.Message}", "If another run is using it, wait for its end, or give --folder for a place of its own.", e);
        }
    }

    private void Write(RunNotes notes)
    {
        _notes = notes;
        var part = System.IO.Path.Combine(Path, NotesFile + ".part");
        using (var file = new FileStream(part, FileMode.Create, FileAccess.Write))
        {
            JsonSerializer.Serialize(file, notes, RunJson.Default.RunNotes);
            file.Flush(flushToDisk: true);
        }
        File.Move(part, System.IO.Path.Combine(Path, NotesFile), overwrite: true);
    }

    private static RunNotes ReadNotes(string path)
    {
        try
        {
            if (!File.Exists(path)) return new RunNotes();
            if (new FileInfo(path).Length > MostBytes) throw new JsonException($"it is larger than {MostBytes} bytes");
            var notes = JsonSerializer.Deserialize(File.ReadAllBytes(path), RunJson.Default.RunNotes) ?? throw new JsonException("it says nothing");
            if (notes.Checkpoints is null || notes.Checkpoints.Any(state => state is null || state.Step < 0) || notes.Tensors is null || notes.Tensors.Any(part => part?.Name is null)) throw new JsonException("its checkpoints are none");
            return notes;
        }
        catch (Exception e) when (e is JsonException or IOException or FormatException or InvalidOperationException or ArgumentException)
        {
            throw new AisleException("AISLE-5172", $"{path} cannot be read: {e.Message}", "Give --fresh to start anew there, or --folder for another place.", e);
        }
    }
}

internal sealed record RunNotes
{
    public Digest? Recipe { get; init; }

    /// <summary>Oldest first.</summary>
    public IReadOnlyList<StoredState> Checkpoints { get; init; } = [];

    public Digest? Model { get; init; }

    /// <summary>Names of the parts of the weights, one after the other.</summary>
    public IReadOnlyList<NamedPart> Tensors { get; init; } = [];
}

internal sealed record NamedPart(string Name, int Length);

internal sealed record StoredState(long Step, Digest Digest);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(RunNotes))]
internal sealed partial class RunJson : JsonSerializerContext;
