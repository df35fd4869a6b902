using Microsoft.Win32.SafeHandles;

namespace Aisle.Tensors;

/// <summary>An open safetensors file of any size: the header is read at once, tensors when they are asked for. Not thread-safe.</summary>
internal sealed class SafetensorsFile : IDisposable
{
    private const int PieceBytes = 1 << 20;
    private readonly SafeFileHandle _file;
    private readonly string _path;
    private readonly long _dataAt;
    private readonly byte[] _piece = new byte[PieceBytes];

    /// <exception cref="AisleException">AISLE-5020: malformed; AISLE-5022: it cannot be read.</exception>
    public SafetensorsFile(string path)
    {
        _path = path;
        _file = Readable(() => File.OpenHandle(path));
        try
        {
            var bytes = Readable(() => RandomAccess.GetLength(_file));
            var start = Readable(() => Head(8));
            var header = new byte[Safetensors.HeaderBytes(start, bytes)];
            Readable(() => Fill(header, 8));
            _dataAt = 8L + header.Length;
            Tensors = Safetensors.ParseHeader(header, bytes - _dataAt);
        }
        catch
        {
            _file.Dispose();
            throw;
        }
    }

    public IReadOnlyDictionary<string, Safetensors.TensorPlace> Tensors { get; }

    /// <summary>Widens a tensor's elements into <paramref name="target"/>, in the order of the file.</summary>
    /// <exception cref="AisleException">AISLE-5021: other elements than F32, F16 or BF16, or another count; AISLE-5022: it cannot be read.</exception>
    public void Read(string name, Span<float> target)
    {
        var tensor = Tensors[name];
        Safetensors.CheckWeights(name, tensor.Type);
        var size = Safetensors.SizeOf(tensor.Type);
        if ((tensor.End - tensor.Begin) / size != target.Length)
            throw new AisleException("AISLE-5021", $"Tensor {name} of shape [{string.Join(", ", tensor.Shape)}] has not the {target.Length} elements asked for.",
                "Use the config.json that belongs to the weights.");
        for (var at = tensor.Begin; at < tensor.End;)
        {
            var count = (int)Math.Min(PieceBytes, tensor.End - at);
            var begin = at;
            Readable(() => Fill(_piece.AsMemory(0, count), _dataAt + begin));
            Safetensors.Widen(tensor.Type, _piece.AsSpan(0, count), target[..(count / size)]);
            target = target[(count / size)..];
            at += count;
        }
    }

    public void Dispose() => _file.Dispose();

    private byte[] Head(int bytes)
    {
        var head = new byte[Math.Min(bytes, RandomAccess.GetLength(_file))];
        Fill(head, 0);
        return head;
    }

    private int Fill(Memory<byte> target, long offset)
    {
        for (var filled = 0; filled < target.Length;)
        {
            var read = RandomAccess.Read(_file, target.Span[filled..], offset + filled);
            if (read == 0) throw new EndOfStreamException("it ended early");
            filled += read;
        }

        return target.Length;
    }

    private T Readable<T>(Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            throw new AisleException("AISLE-5022", $"{_path} cannot be read: {fault.Message}", "Check the path and its permissions.", fault);
        }
    }
}
