using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace Aisle.Tensors;

/// <summary>Element types of a safetensors file.</summary>
public enum ElementType
{
    Bool,
    U8,
    I8,
    I16,
    U16,
    F16,
    BF16,
    I32,
    U32,
    F32,
    I64,
    U64,
    F64,
}

/// <summary>One tensor of a safetensors file, its bytes already checked against its shape.</summary>
/// <param name="Shape">Row-major; empty for a single number.</param>
/// <param name="Bytes">Little-endian.</param>
public sealed record SafetensorsEntry(string Name, ElementType Type, ImmutableArray<long> Shape, ReadOnlyMemory<byte> Bytes)
{
    /// <summary>Widens F32, F16 or BF16 into <paramref name="target"/>, which must have one place for each element.</summary>
    /// <exception cref="AisleException">AISLE-5021: another type or another count.</exception>
    public void CopyTo(Span<float> target)
    {
        var bytes = Bytes.Span;
        Safetensors.CheckWeights(Name, Type);
        if (bytes.Length / Safetensors.SizeOf(Type) != target.Length)
            throw new AisleException("AISLE-5021", $"Tensor {Name} of shape [{string.Join(", ", Shape)}] has not the {target.Length} elements asked for.",
                "Use the config.json that belongs to the weights.");
        Safetensors.Widen(Type, bytes, target);
    }
}

/// <summary>
/// Reads and writes safetensors: an 8-byte little-endian header length, a JSON header, and the tensors' bytes one after another. Nothing in it is run.
/// </summary>
/// <remarks>Format: github.com/huggingface/safetensors, README "Format". The reader is as strict as that: no holes, no overlaps, no doubled names.</remarks>
public static class Safetensors
{
    private const int MostHeaderBytes = 100_000_000;
    private const int AlignmentBytes = 8;

    public static int SizeOf(ElementType type) => type switch
    {
        ElementType.Bool or ElementType.U8 or ElementType.I8 => 1,
        ElementType.I16 or ElementType.U16 or ElementType.F16 or ElementType.BF16 => 2,
        ElementType.I32 or ElementType.U32 or ElementType.F32 => 4,
        _ => 8,
    };

    /// <summary>Writes tensors that lie in one flat array. The same tensors give the same bytes: names sorted, header padded with spaces to 8.</summary>
    /// <param name="slots">Where each tensor lies in <paramref name="values"/>.</param>
    /// <param name="elementType">F32, or BF16: rounded to the nearest, ties to even.</param>
    public static void Write(
        Stream stream, IEnumerable<TensorSlot> slots, ReadOnlySpan<float> values, IReadOnlyDictionary<string, string>? metadata = null, ElementType elementType = ElementType.F32)
    {
        var sorted = slots.OrderBy(slot => slot.Name, StringComparer.Ordinal).ToList();
        WriteHeader(stream, sorted, metadata, elementType);
        foreach (var slot in sorted) WriteTensor(stream, slot, values.Slice(slot.Offset, slot.Length), elementType);
    }

    /// <summary>Gives one tensor's values.</summary>
    /// <param name="target">In memory's layout, to be filled.</param>
    internal delegate void TensorSource(TensorSlot slot, Span<float> target);

    /// <summary>As <see cref="Write(Stream, IEnumerable{TensorSlot}, ReadOnlySpan{float}, IReadOnlyDictionary{string, string}?, ElementType)"/>, one tensor in memory at a time.</summary>
    internal static void Write(Stream stream, IEnumerable<TensorSlot> slots, TensorSource source, ElementType elementType = ElementType.F32)
    {
        var sorted = slots.OrderBy(slot => slot.Name, StringComparer.Ordinal).ToList();
        WriteHeader(stream, sorted, null, elementType);
        foreach (var slot in sorted)
        {
            var values = new float[slot.Length];
            source(slot, values);
            WriteTensor(stream, slot, values, elementType);
        }
    }

    private static void WriteHeader(Stream stream, List<TensorSlot> sorted, IReadOnlyDictionary<string, string>? metadata, ElementType elementType)
    {
        if (elementType is not (ElementType.F32 or ElementType.BF16)) throw new ArgumentOutOfRangeException(nameof(elementType), elementType, "Weights are written as F32 or BF16.");
        var header = Header(sorted, metadata, elementType);
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
        stream.Write(length);
        stream.Write(header);
    }

    private static void WriteTensor(Stream stream, TensorSlot slot, ReadOnlySpan<float> values, ElementType elementType)
    {
        if (slot.TransposedInFiles)
        {
            var turned = new float[values.Length];
            Transpose(values, slot.Shape[0], slot.Shape[1], turned);
            values = turned;
        }

        WriteLittleEndian(stream, values, elementType);
    }

    /// <summary>target[j, i] = source[i, j].</summary>
    internal static void Transpose(ReadOnlySpan<float> source, int rows, int columns, Span<float> target)
    {
        for (var i = 0; i < rows; i++)
        {
            for (var j = 0; j < columns; j++) target[j * rows + i] = source[i * columns + j];
        }
    }

    /// <exception cref="AisleException">AISLE-5021: elements that weights cannot be.</exception>
    internal static void CheckWeights(string name, ElementType type)
    {
        if (type is not (ElementType.F32 or ElementType.F16 or ElementType.BF16))
            throw new AisleException("AISLE-5021", $"Tensor {name} holds {type}.", "Weights must be F32, F16 or BF16.");
    }

    /// <summary>Little-endian F32, F16 or BF16 to floats, one for each place of <paramref name="target"/>.</summary>
    internal static void Widen(ElementType type, ReadOnlySpan<byte> bytes, Span<float> target)
    {
        for (var i = 0; i < target.Length; i++)
        {
            target[i] = type switch
            {
                ElementType.F32 => BinaryPrimitives.ReadSingleLittleEndian(bytes[(4 * i)..]),
                ElementType.F16 => (float)BinaryPrimitives.ReadHalfLittleEndian(bytes[(2 * i)..]),
                _ => BFloat16.Widen(BinaryPrimitives.ReadUInt16LittleEndian(bytes[(2 * i)..])),
            };
        }
    }

    private static byte[] Header(List<TensorSlot> slots, IReadOnlyDictionary<string, string>? metadata, ElementType elementType)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            json.WriteStartObject("__metadata__");
            foreach (var (key, value) in (metadata ?? new Dictionary<string, string> { ["format"] = "pt" }).OrderBy(pair => pair.Key, StringComparer.Ordinal))
                json.WriteString(key, value);
            json.WriteEndObject();
            long begin = 0;
            foreach (var slot in slots)
            {
                json.WriteStartObject(slot.Name);
                json.WriteString("dtype", elementType.ToString());
                json.WriteStartArray("shape");
                foreach (var size in slot.ShapeInFiles) json.WriteNumberValue(size);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(begin);
                json.WriteNumberValue(begin += (long)slot.Length * SizeOf(elementType));
                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        while (stream.Length % AlignmentBytes != 0) stream.WriteByte((byte)' ');
        return stream.ToArray();
    }

    private static void WriteLittleEndian(Stream stream, ReadOnlySpan<float> values, ElementType elementType)
    {
        if (!BitConverter.IsLittleEndian) throw new PlatformNotSupportedException("Weights are written on little-endian machines only.");
        var rounded = elementType == ElementType.BF16 ? new ushort[Math.Min(values.Length, 1 << 16)] : [];
        while (values.Length > 0)
        {
            var part = values[..Math.Min(values.Length, 1 << 16)];
            if (elementType == ElementType.F32)
            {
                stream.Write(MemoryMarshal.AsBytes(part));
            }
            else
            {
                for (var i = 0; i < part.Length; i++) rounded[i] = BFloat16.Round(part[i]);
                stream.Write(MemoryMarshal.AsBytes(rounded.AsSpan(0, part.Length)));
            }

            values = values[part.Length..];
        }
    }

    /// <summary>Reads a whole file. Memory used is the file's size and what its header needs.</summary>
    /// <exception cref="AisleException">AISLE-5020: malformed; AISLE-5022: it cannot be read.</exception>
    public static IReadOnlyDictionary<string, SafetensorsEntry> Read(string path)
    {
        try
        {
            return Parse(File.ReadAllBytes(path));
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            throw new AisleException("AISLE-5022", $"{path} cannot be read: {fault.Message}", "Check the path, its permissions and that it is under 2 GB.", fault);
        }
    }

    /// <summary>The entries of a file, as views on <paramref name="file"/>.</summary>
    /// <exception cref="AisleException">AISLE-5020: malformed; the message says where.</exception>
    public static IReadOnlyDictionary<string, SafetensorsEntry> Parse(ReadOnlyMemory<byte> file)
    {
        var headerBytes = HeaderBytes(file.Span[..Math.Min(8, file.Length)], file.Length);
        var data = file[(8 + headerBytes)..];
        return ParseHeader(file.Slice(8, headerBytes), data.Length).Values.ToDictionary(
            place => place.Name, place => new SafetensorsEntry(place.Name, place.Type, place.Shape, data.Slice((int)place.Begin, (int)(place.End - place.Begin))), StringComparer.Ordinal);
    }

    /// <summary>One tensor's place among the bytes after the header.</summary>
    internal readonly record struct TensorPlace(string Name, ElementType Type, ImmutableArray<long> Shape, long Begin, long End);

    /// <param name="start">The file's first 8 bytes, or as many as it has.</param>
    internal static int HeaderBytes(ReadOnlySpan<byte> start, long fileBytes)
    {
        if (start.Length < 8) throw Malformed($"it has {start.Length} bytes, fewer than its 8-byte header length");
        var headerBytes = BinaryPrimitives.ReadUInt64LittleEndian(start);
        if (headerBytes > MostHeaderBytes || headerBytes > (ulong)fileBytes - 8)
            throw Malformed($"its header claims {headerBytes} bytes of a file of {fileBytes}, where {MostHeaderBytes} is the most");
        return (int)headerBytes;
    }

    internal static Dictionary<string, TensorPlace> ParseHeader(ReadOnlyMemory<byte> header, long dataBytes)
    {
        if (header.Length == 0 || header.Span[0] != (byte)'{') throw Malformed("its header does not begin with {");
        try
        {
            // Doubled names are refused here: which of two to believe is how files are made to mean two things.
            using var document = JsonDocument.Parse(header, new JsonDocumentOptions { MaxDepth = 8, AllowDuplicateProperties = false });
            return Places(document.RootElement, dataBytes);
        }
        catch (Exception fault) when (fault is JsonException or InvalidOperationException)
        {
            throw Malformed($"its header is not JSON ({fault.Message})");
        }
    }

    private static Dictionary<string, TensorPlace> Places(JsonElement header, long dataBytes)
    {
        var entries = new Dictionary<string, TensorPlace>(StringComparer.Ordinal);
        List<(long Begin, long End, string Name)> ranges = [];
        foreach (var property in header.EnumerateObject())
        {
            if (property.Name == "__metadata__")
            {
                CheckMetadata(property.Value);
                continue;
            }

            var place = Place(property.Name, property.Value, dataBytes);
            entries.Add(property.Name, place);
            ranges.Add((place.Begin, place.End, property.Name));
        }

        ranges.Sort();
        long covered = 0;
        foreach (var (begin, end, name) in ranges)
        {
            if (begin != covered) throw Malformed($"tensor {name} begins at {begin}, where {covered} was expected: a hole or an overlap");
            covered = end;
        }

        if (covered != dataBytes) throw Malformed($"its tensors cover {covered} of {dataBytes} bytes");
        return entries;
    }

    private static TensorPlace Place(string name, JsonElement value, long dataBytes)
    {
        if (value.ValueKind != JsonValueKind.Object) throw Malformed($"tensor {name} is not an object");
        ElementType? type = null;
        ImmutableArray<long>? shape = null, offsets = null;
        foreach (var field in value.EnumerateObject())
        {
            switch (field.Name)
            {
                // Not Enum.Parse alone: it would take "3" for a name.
                case "dtype" when field.Value.ValueKind == JsonValueKind.String && Array.IndexOf(TypeNames, field.Value.GetString()!.ToUpperInvariant()) is >= 0 and var at:
                    type = Enum.GetValues<ElementType>()[at];
                    break;
                case "shape": shape = Numbers(name, field.Value, most: 16); break;
                case "data_offsets": offsets = Numbers(name, field.Value, most: 2); break;
                default: throw Malformed($"tensor {name} has a field {field.Name} that cannot be read");
            }
        }

        if (type is not { } element || shape is not { } sizes || offsets is not [var begin, var end]) throw Malformed($"tensor {name} lacks dtype, shape or data_offsets");
        if (begin > end || end > dataBytes) throw Malformed($"tensor {name} lies at {begin}..{end} of {dataBytes} bytes");
        var bytes = (Int128)SizeOf(element);
        foreach (var size in sizes)
        {
            bytes *= size;
            if (bytes > long.MaxValue) throw Malformed($"tensor {name} of shape [{string.Join(", ", sizes)}] is too large");
        }

        if (bytes != end - begin) throw Malformed($"tensor {name} of {element} [{string.Join(", ", sizes)}] takes {bytes} bytes and has {end - begin}");
        return new TensorPlace(name, element, sizes, begin, end);
    }

    private static readonly string[] TypeNames = [.. Enum.GetNames<ElementType>().Select(name => name.ToUpperInvariant())];

    private static ImmutableArray<long> Numbers(string tensor, JsonElement value, int most)
    {
        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() > most) throw Malformed($"tensor {tensor} has a list that is none, or longer than {most}");
        var numbers = ImmutableArray.CreateBuilder<long>();
        foreach (var item in value.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.Number || !item.TryGetInt64(out var number) || number < 0) throw Malformed($"tensor {tensor} has a size that is not a whole number from 0");
            numbers.Add(number);
        }

        return numbers.ToImmutable();
    }

    private static void CheckMetadata(JsonElement metadata)
    {
        if (metadata.ValueKind != JsonValueKind.Object || metadata.EnumerateObject().Any(pair => pair.Value.ValueKind != JsonValueKind.String))
            throw Malformed("its __metadata__ is not a map of texts");
    }

    private static AisleException Malformed(string fault) => new("AISLE-5020", $"Not a safetensors file: {fault}.", "Fetch or write the file again.");
}
