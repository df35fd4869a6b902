using System.Globalization;
using Aisle.Ledger;

namespace Aisle.Pipelines;

/// <summary>Runs the built-in data steps of <see cref="ProgramCatalogue"/>. One thread, bounded memory, no clock and no chance but the seed.</summary>
public static class TextTransforms
{
    /// <summary>Whether a job's program is one of these, rather than one that trains, evaluates or serves.</summary>
    public static bool Has(string program) => Find(program) is not null;

    /// <summary>Fills the output folders, on a thread of the pool.</summary>
    /// <exception cref="AisleException">AISLE-401x: what was given cannot be worked on; a bad record is no exception, it becomes a dead letter.</exception>
    public static Task<TransformResult> RunAsync(TransformCall call, CancellationToken cancellationToken = default) => Task.Run(() => Run(call, cancellationToken), cancellationToken);

    private static TransformResult Run(TransformCall call, CancellationToken cancellationToken)
    {
        var work = Find(call.Program) ?? throw new AisleException("AISLE-4010", $"{call.Program} is not a data step of this version.",
            $"Use one of {string.Join(", ", ProgramCatalogue.All.Where(program => Find(program.Id) is not null).Select(program => program.Id))}.");
        var program = ProgramCatalogue.Find(call.Program)!;
        CheckFolders(program, call);
        using var run = new TransformRun(program, call, cancellationToken);
        work(run);
        return run.Finish();
    }

    private static Action<TransformRun>? Find(string program) => ProgramCatalogue.Find(program)?.Name switch
    {
        "extract-text" => ExtractText.Run,
        "clean-text" => CleanText.Run,
        "drop-duplicates" => DropDuplicates.Run,
        "learn-vocabulary" => LearnVocabulary.Run,
        "tokenize" => Tokenize.Run,
        _ => null,
    };

    private static void CheckFolders(PipelineProgram program, TransformCall call)
    {
        foreach (var port in program.Inputs)
        {
            if (!call.Inputs.TryGetValue(port, out var folder) || !Directory.Exists(folder))
                throw new AisleException("AISLE-4011", $"{program.Name} has no folder for its input {port} ({folder ?? "none given"}).", "Give each input port an existing folder.");
        }
        foreach (var port in program.Outputs)
        {
            if (!call.Outputs.TryGetValue(port, out var folder))
                throw new AisleException("AISLE-4011", $"{program.Name} has no folder for its output {port}.", "Give each output port a folder.");
            Directory.CreateDirectory(folder);
        }
    }
}

/// <summary>What one run of a transform shares: folders, parameters, and the books that must balance.</summary>
internal sealed class TransformRun : IDisposable
{
    private const int ReportEveryRecords = 1000;
    private readonly PipelineProgram _program;
    private readonly TransformCall _call;
    private readonly DeadLetters _dead;
    private readonly SortedDictionary<string, long> _summary = new(StringComparer.Ordinal);
    private DocumentWriter? _documents;
    private long _in, _out, _filtered, _deadCount, _doneBytes, _totalBytes;

    public TransformRun(PipelineProgram program, TransformCall call, CancellationToken cancellationToken)
    {
        _program = program;
        _call = call;
        CancellationToken = cancellationToken;
        _dead = new DeadLetters(Path.Combine(call.Outputs["dead"], "dead.jsonl"), program.Name);
    }

    public CancellationToken CancellationToken { get; }

    public ulong Seed => _call.Seed;

    /// <summary>Records begun so far.</summary>
    public long Records => _in;

    public string InputFolder(string port) => _call.Inputs[port];

    public string OutputFolder(string port) => _call.Outputs[port];

    public long Integer(string parameter) => long.Parse(Value(parameter), CultureInfo.InvariantCulture);

    public double Number(string parameter) => double.Parse(Value(parameter), CultureInfo.InvariantCulture);

    private string Value(string name)
    {
        var parameter = _program.Parameters.First(parameter => parameter.Name == name);
        if (!_call.Parameters.TryGetValue(name, out var value)) return parameter.Default;
        return parameter.TryRead(value, out var canonical) ? canonical : throw new AisleException("AISLE-4012",
            $"{_program.Name}'s parameter {name} is '{value}'.", $"Give {parameter.Expected}.");
    }

    /// <summary>Every file of an input folder, by relative path with forward slashes, in ordinal order. Links are not followed.</summary>
    public List<(string Name, FileInfo File)> Files(string port)
    {
        var root = new DirectoryInfo(InputFolder(port));
        var files = root.EnumerateFiles("*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint })
            .Select(file => (Name: Path.GetRelativePath(root.FullName, file.FullName).Replace('\\', '/'), File: file))
            .OrderBy(file => file.Name, StringComparer.Ordinal).ToList();
        _totalBytes += files.Sum(file => file.File.Length);
        return files;
    }

    /// <summary>Documents of an input port in order. Each counts as read; a line that is no document is a dead letter.</summary>
    public IEnumerable<Document> Read(string port)
    {
        foreach (var (name, file) in Files(port).Where(file => file.Name.EndsWith(".jsonl", StringComparison.Ordinal)))
        {
            using var stream = file.OpenRead();
            var lines = new LineReader(stream);
            while (lines.TryRead())
            {
                Begin();
                if (lines.Fault is null && DocumentLine.TryParse(lines.Line.Span, out var document, out var fault))
                    yield return document with { Source = document.Source ?? $"{name}#{lines.Number}" };
                else Kill($"{name}#{lines.Number}", lines.Fault ?? DocumentLine.FaultOf(lines.Line.Span), lines.Line.Span);
            }
            FileDone(file);
        }
    }

    public void FileDone(FileInfo file)
    {
        _doneBytes += file.Length;
        _call.Progress?.Report(new TransformProgress(_in, _doneBytes, _totalBytes));
    }

    /// <summary>A record was read; exactly one of <see cref="Keep(in Document)"/>, <see cref="Keep()"/>, <see cref="Filter"/> and <see cref="Kill"/> must follow.</summary>
    public void Begin()
    {
        CancellationToken.ThrowIfCancellationRequested();
        if (++_in % ReportEveryRecords == 0) _call.Progress?.Report(new TransformProgress(_in, _doneBytes, _totalBytes));
    }

    public void Keep(in Document document)
    {
        _documents ??= new DocumentWriter(OutputFolder("documents"));
        _documents.Write(document);
        Keep();
    }

    public void Keep() => _out++;

    public void Filter(string reason)
    {
        _filtered++;
        Note($"filtered: {reason}", 1);
    }

    /// <summary>Sets a record aside that cannot be worked on.</summary>
    public void Kill(string source, string error, ReadOnlySpan<byte> record)
    {
        _deadCount++;
        _dead.Write(source, error, record);
    }

    public void Note(string figure, long by) => _summary[figure] = _summary.GetValueOrDefault(figure) + by;

    /// <exception cref="AisleException">AISLE-4013: records went missing, which is a fault of the transform.</exception>
    public TransformResult Finish()
    {
        // An empty result is still a folder with a part in it.
        if (_program.Outputs.Contains("documents")) _documents ??= new DocumentWriter(OutputFolder("documents"));
        _documents?.Dispose();
        _dead.Dispose();
        var counts = new RecordCounts(_in, _out, _filtered, _deadCount);
        if (!counts.AddsUp)
        {
            throw new AisleException("AISLE-4013", $"{_program.Name} read {_in} records and accounts for {_out} kept, {_filtered} filtered and {_deadCount} dead.",
                "This is a fault of the transform: report it with its input.");
        }
        return new TransformResult(counts, System.Collections.Immutable.ImmutableSortedDictionary.CreateRange(StringComparer.Ordinal, _summary));
    }

    public void Dispose()
    {
        _documents?.Dispose();
        _dead.Dispose();
    }
}
