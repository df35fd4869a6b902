using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text;
using Aisle.Artifacts;

namespace Aisle.Tensors;

/// <summary>
/// What decides floating-point bits on a machine: library builds, instruction set, threads, settings, processor make, C library. Two machines with the same
/// fingerprint are expected to compute the same gradients; the proof is a canary (a slice's gradient, compared by digest), for which the fingerprint is the cache key.
/// </summary>
public sealed partial record NumericClass
{
    // Raised when ExactArithmetic would give other bits than before.
    private const int ExactVersion = 1;

    private NumericClass(string capability, ImmutableArray<string> facts)
    {
        Capability = capability;
        Facts = facts;
        Fingerprint = $"cpu-{capability}-{NativeSettings.Threads}t-{Digest.Of(string.Join('\n', facts)).Short}";
    }

    /// <summary>Short and printable, e.g. <c>cpu-avx512-1t-3fa9c01d22b4</c>: part of a job's identity.</summary>
    public string Fingerprint { get; }

    /// <summary>The instructions libtorch's own kernels use: avx512, avx2 or default; exact where C# computes.</summary>
    public string Capability { get; }

    /// <summary>Everything the fingerprint is made from, one <c>name=value</c> a line: compare two machines' to see why they differ.</summary>
    public ImmutableArray<string> Facts { get; }

    /// <summary>The class of this machine under AISLE_NUMERIC_CLASS. Takes under a millisecond of work: libtorch is neither loaded nor read through.</summary>
    /// <exception cref="AisleException">AISLE-5001, 5002, 5006: no libtorch here, or an unknown class.</exception>
    public static NumericClass OfThisMachine() => Of(ArithmeticChoices.OfThisProcess());

    /// <summary>The class of what libtorch computes on this machine: held back to AVX2 where AISLE_NUMERIC_CLASS says so, with every instruction otherwise.</summary>
    /// <exception cref="AisleException">AISLE-5001, 5002, 5006: no libtorch here, or an unknown class.</exception>
    public static NumericClass OfLibTorch() =>
        Of(ArithmeticChoices.OfThisProcess() == ArithmeticChoice.LibTorchAvx2 ? ArithmeticChoice.LibTorchAvx2 : ArithmeticChoice.LibTorch);

    internal static NumericClass Of(ArithmeticChoice choice)
    {
        if (choice == ArithmeticChoice.Exact) return new NumericClass("exact", [$"exact={ExactVersion}"]);   // nothing of the machine decides
        var files = NativeFiles.Find();
        var portable = choice == ArithmeticChoice.LibTorchAvx2;
        var capability = portable && Processor.Capability == "avx512" ? "avx2" : Processor.Capability;
        List<string> facts =
        [
            .. files.LibTorch.Append(files.Shim).Select(path => $"{Path.GetFileName(path)}={BuildOf(path)}"),
            .. NativeSettings.Variables(portable, Processor.IsIntel).Select(v => $"{v.Name}={v.Value}"),
            $"capability={capability}",
            $"vendor={Processor.Vendor}",
            // Held back to AVX2, newer instructions decide nothing: a mixed fleet may share the class.
            $"flags={(portable ? "" : string.Join(' ', Processor.Flags))}",
            $"glibc={Marshal.PtrToStringUTF8(CLibraryVersion())}",
        ];
        return new NumericClass(capability, [.. facts]);
    }

    public bool Equals(NumericClass? other) => other is not null && other.Fingerprint == Fingerprint;

    public override int GetHashCode() => Fingerprint.GetHashCode(StringComparison.Ordinal);

    public override string ToString() => Fingerprint;

    // The linker's own digest of what it built names a library as well as hashing its 460 MB would.
    private static string BuildOf(string path)
    {
        using var file = File.OpenRead(path);
        return $"{BuildId(file) ?? "none"}/{file.Length}";
    }

    // Follows the program headers to the notes, one of which is: name length 4, digest length 20, type 3, "GNU\0", digest.
    private static string? BuildId(FileStream file)
    {
        var header = Read(file, 0, 64);
        if (header.Length < 64 || !header.AsSpan().StartsWith("\u007fELF\u0002\u0001"u8)) return null;
        int size = BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(54)), count = BinaryPrimitives.ReadUInt16LittleEndian(header.AsSpan(56));
        var table = Read(file, BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(32)), size * count);
        for (var at = 0; size >= 56 && at + size <= table.Length; at += size)
        {
            const uint Notes = 4;   // PT_NOTE
            if (BinaryPrimitives.ReadUInt32LittleEndian(table.AsSpan(at)) != Notes) continue;
            var notes = Read(file, BinaryPrimitives.ReadInt64LittleEndian(table.AsSpan(at + 8)), 4096).AsSpan();
            ReadOnlySpan<byte> start = [4, 0, 0, 0, 20, 0, 0, 0, 3, 0, 0, 0, (byte)'G', (byte)'N', (byte)'U', 0];
            var found = notes.IndexOf(start);
            if (found >= 0 && found + 36 <= notes.Length) return Convert.ToHexStringLower(notes.Slice(found + 16, 20));
        }

        return null;
    }

    private static byte[] Read(FileStream file, long offset, int bytes)
    {
        if (offset < 0 || offset >= file.Length) return [];
        file.Position = offset;
        var content = new byte[Math.Min(bytes, file.Length - offset)];
        file.ReadExactly(content);
        return content;
    }

    [LibraryImport("libc", EntryPoint = "gnu_get_libc_version")]
    private static partial nint CLibraryVersion();
}
