using System.Buffers.Binary;
using System.Text;
using System.Text.Json;

namespace Aisle.Tensors.Tests;

/// <summary>A checkpoint as other tools write it: tensors by name in one safetensors file or several, made here by hand and not by the code under test.</summary>
internal static class HuggingFaceFolder
{
    public sealed record Tensor(long[] Shape, float[] Values);

    public static void WriteOne(string folder, string config, IReadOnlyDictionary<string, Tensor> tensors, string type = "F32")
    {
        File.WriteAllText(Path.Combine(folder, "config.json"), config);
        WriteFile(Path.Combine(folder, "model.safetensors"), tensors, type);
    }

    /// <summary>Every tensor goes to one of two files in turn.</summary>
    public static void WriteTwo(string folder, string config, IReadOnlyDictionary<string, Tensor> tensors, string type = "F32")
    {
        File.WriteAllText(Path.Combine(folder, "config.json"), config);
        var map = new Dictionary<string, string>();
        for (var part = 0; part < 2; part++)
        {
            var name = $"model-0000{part + 1}-of-00002.safetensors";
            var mine = tensors.Where((_, i) => i % 2 == part).ToDictionary(pair => pair.Key, pair => pair.Value);
            foreach (var tensor in mine.Keys) map[tensor] = name;
            WriteFile(Path.Combine(folder, name), mine, type);
        }

        File.WriteAllText(Path.Combine(folder, "model.safetensors.index.json"), JsonSerializer.Serialize(new { metadata = new { total_size = 1 }, weight_map = map }));
    }

    private static void WriteFile(string path, IReadOnlyDictionary<string, Tensor> tensors, string type)
    {
        using var data = new MemoryStream();
        var header = new Dictionary<string, object> { ["__metadata__"] = new { format = "pt" } };
        foreach (var (name, tensor) in tensors)
        {
            var begin = data.Length;
            foreach (var value in tensor.Values) data.Write(Bytes(value, type));
            header[name] = new { dtype = type, shape = tensor.Shape, data_offsets = new[] { begin, data.Length } };
        }

        var json = Encoding.UTF8.GetBytes(JsonSerializer.Serialize(header));
        using var file = File.Create(path);
        var length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, json.Length);
        file.Write(length);
        file.Write(json);
        data.WriteTo(file);
    }

    private static byte[] Bytes(float value, string type) => type switch
    {
        "F32" => BitConverter.GetBytes(value),
        "F16" => BitConverter.GetBytes((Half)value),
        "BF16" => [.. BitConverter.GetBytes(value)[2..]],   // cut off: the values written so have no more bits
        _ => [.. Enumerable.Repeat((byte)0, type == "I64" ? 8 : 4)],
    };
}
