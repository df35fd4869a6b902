using System.Text.Json;
using System.Text.RegularExpressions;

namespace Aisle.Tensors;

/// <summary>
/// A model's tensors in Hugging Face's layout: one model.safetensors, or several files with an index of which tensor lies in which. Everything is checked
/// before a tensor is read: files lie in the folder itself, each tensor lies where the index says, and none lies where it does not.
/// </summary>
internal sealed partial class CheckpointFiles : IDisposable
{
    public const string OneFile = "model.safetensors";
    public const string IndexFile = "model.safetensors.index.json";
    private const int MostIndexBytes = 32 << 20;
    private const int MostFiles = 1000;
    private readonly Dictionary<string, SafetensorsFile> _files = new(StringComparer.Ordinal);
    private readonly Dictionary<string, (SafetensorsFile File, Safetensors.TensorPlace Place)> _tensors = new(StringComparer.Ordinal);

    private CheckpointFiles()
    {
    }

    /// <exception cref="AisleException">AISLE-5020 to 5023: a file is missing or malformed, or the index and the files do not belong together.</exception>
    public static CheckpointFiles Open(string folder)
    {
        var checkpoint = new CheckpointFiles();
        try
        {
            var index = Path.Combine(folder, IndexFile);
            if (File.Exists(Path.Combine(folder, OneFile)) || !File.Exists(index)) checkpoint.AddAll(folder);
            else checkpoint.AddIndexed(folder, ReadIndex(index));
            return checkpoint;
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    public IReadOnlyCollection<string> Names => _tensors.Keys;

    public Safetensors.TensorPlace Place(string name) => _tensors[name].Place;

    /// <inheritdoc cref="SafetensorsFile.Read"/>
    public void Read(string name, Span<float> target) => _tensors[name].File.Read(name, target);

    public void Dispose()
    {
        foreach (var file in _files.Values) file.Dispose();
    }

    private void AddAll(string folder)
    {
        var file = _files[OneFile] = new SafetensorsFile(Path.Combine(folder, OneFile));
        foreach (var (name, place) in file.Tensors) _tensors.Add(name, (file, place));
    }

    private void AddIndexed(string folder, Dictionary<string, string> index)
    {
        foreach (var (name, fileName) in index)
        {
            if (!_files.TryGetValue(fileName, out var file))
            {
                if (_files.Count == MostFiles) throw Wrong($"it names more than {MostFiles} files");
                file = _files[fileName] = new SafetensorsFile(Path.Combine(folder, fileName));
            }

            if (!file.Tensors.TryGetValue(name, out var place)) throw Wrong($"{name} is not in {fileName}, where it is said to be");
            _tensors.Add(name, (file, place));
        }

        foreach (var (fileName, file) in _files)
        {
            var stray = file.Tensors.Keys.FirstOrDefault(name => !index.TryGetValue(name, out var said) || said != fileName);
            if (stray is not null) throw Wrong($"{stray} lies in {fileName}, which the index does not say");
        }
    }

    private static Dictionary<string, string> ReadIndex(string path)
    {
        byte[] bytes;
        try
        {
            if (new FileInfo(path).Length is > MostIndexBytes and var length) throw Wrong($"it has {length} bytes, more than {MostIndexBytes}");
            bytes = File.ReadAllBytes(path);
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            throw new AisleException("AISLE-5022", $"{path} cannot be read: {fault.Message}", "Check the path and its permissions.", fault);
        }

        return ParseIndex(bytes);
    }

    /// <summary>Tensor to file name. File names with a folder in them are refused: an index never reaches outside its own.</summary>
    /// <exception cref="AisleException">AISLE-5023.</exception>
    internal static Dictionary<string, string> ParseIndex(ReadOnlyMemory<byte> json)
    {
        try
        {
            using var document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 8, AllowDuplicateProperties = false });
            if (document.RootElement.ValueKind != JsonValueKind.Object || !document.RootElement.TryGetProperty("weight_map", out var map) || map.ValueKind != JsonValueKind.Object)
                throw Wrong("it has no weight_map");
            var index = new Dictionary<string, string>(StringComparer.Ordinal);
            foreach (var tensor in map.EnumerateObject())
            {
                var file = tensor.Value.ValueKind == JsonValueKind.String ? tensor.Value.GetString()! : throw Wrong($"the file of {tensor.Name} is not a name");
                if (!FileName.IsMatch(file)) throw Wrong($"'{(file.Length <= 80 ? file : file[..80] + "…")}' is not the name of a safetensors file in the same folder");
                index.Add(tensor.Name, file);
            }

            return index;
        }
        catch (Exception fault) when (fault is JsonException or InvalidOperationException)   // the second: text that is not UTF-8
        {
            throw Wrong($"it is not JSON ({fault.Message})");
        }
    }

    private static AisleException Wrong(string fault) => new("AISLE-5023", $"{IndexFile} cannot be used: {fault}.", "Fetch the model's files again, all of one version.");

    [GeneratedRegex(@"\A[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.safetensors\z")]
    private static partial Regex FileName { get; }
}
