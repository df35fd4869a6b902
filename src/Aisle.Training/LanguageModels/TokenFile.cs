using System.IO.MemoryMappedFiles;

namespace Aisle.Training.LanguageModels;

/// <summary>Little-endian 16-bit tokens in a memory-mapped file: any number of workers of a machine share its pages.</summary>
internal sealed unsafe class TokenFile : IDisposable
{
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly byte* _start;

    public TokenFile(string path, long count)
    {
        if (new FileInfo(path).Length != count * sizeof(ushort))
            throw new AisleException("AISLE-5142", $"{path} has {new FileInfo(path).Length} bytes, not {count} tokens of 2.", "Make the tokens again with the `tokenize` step.");
        Count = count;
        _file = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
        _view = _file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _start);
    }

    public long Count { get; }

    /// <summary>Copies tokens from <paramref name="first"/> on; each must be below <paramref name="vocabularySize"/>.</summary>
    public void Copy(long first, Span<int> destination, int vocabularySize)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(first + destination.Length, Count);
        var source = (ushort*)(_start + _view.PointerOffset) + first;
        for (var i = 0; i < destination.Length; i++)
        {
            int token = BitConverter.IsLittleEndian ? source[i] : System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(source[i]);
            if (token >= vocabularySize)
                throw new AisleException("AISLE-5143", $"Token {first + i} is {token}, outside the vocabulary of {vocabularySize}.", "Make the tokens again with the `tokenize` step.");
            destination[i] = token;
        }
    }

    public void Dispose()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
    }
}
