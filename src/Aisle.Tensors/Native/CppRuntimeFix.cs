using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace Aisle.Tensors;

/// <summary>
/// Lets the shim load on C++ runtimes older than GCC 13's (Debian 12, Ubuntu 22.04, RHEL 9). The shim asks for one symbol of GLIBCXX_3.4.32, a marker that
/// is never called: on older runtimes libtorch's own objects initialise the streams. A copy of the shim with that version marked as weak loads everywhere.
/// </summary>
internal static partial class CppRuntimeFix
{
    public const string Version = "GLIBCXX_3.4.32";
    private const string Marker = "_ZSt21ios_base_library_initv";

    /// <summary>Whether the C++ runtime of this process offers the version. Loads that runtime, which libtorch does anyhow.</summary>
    /// <exception cref="AisleException">AISLE-5003: there is no C++ runtime.</exception>
    public static bool IsNeeded(NativeFiles files)
    {
        var name = files.CppRuntime ?? "libstdc++.so.6";
        if (!NativeLibrary.TryLoad(name, out var runtime))
            throw new AisleException("AISLE-5003", $"The C++ runtime {name} cannot be loaded.", "Install it: `apt-get install libstdc++6` or `dnf install libstdc++`.");
        return FindVersioned(runtime, Marker, Version) == 0;
    }

    /// <summary>The path of a copy of <paramref name="shim"/> that loads here, made on first use in this user's cache.</summary>
    /// <remarks>The copy is compared with what it must be on every start, so a torn or altered file is replaced. Processes that start together each write
    /// their own temporary file and rename it over the same name: whoever is last wins with the same bytes.</remarks>
    /// <exception cref="AisleException">AISLE-5004: the shim is not a file this fix knows. AISLE-5005: the cache cannot be written.</exception>
    public static string PatchedCopy(string shim)
    {
        var original = File.ReadAllBytes(shim);
        var patched = Patch(original);
        var path = Path.Combine(CacheFolder(), $"libLibTorchSharp-{Convert.ToHexStringLower(SHA256.HashData(original))[..16]}-{Version}.so");
        if (IsAlready(path, patched)) return path;
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            var temporary = $"{path}.{Environment.ProcessId}.{Environment.CurrentManagedThreadId}";
            using (var file = new FileStream(temporary, FileMode.Create, FileAccess.Write))
            {
                file.Write(patched);
                file.Flush(flushToDisk: true);
            }

            File.Move(temporary, path, overwrite: true);
            return path;
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            throw new AisleException("AISLE-5005", $"The shim for this system's C++ runtime cannot be written to {path}: {fault.Message}",
                "Set XDG_CACHE_HOME to a folder this user can write, or install a GCC 13 or newer C++ runtime.", fault);
        }
    }

    /// <summary>A copy of an ELF library whose need of <see cref="Version"/> is weak; every other byte is as it was.</summary>
    /// <exception cref="AisleException">AISLE-5004: not a 64-bit little-endian ELF library, or it does not ask for the version.</exception>
    public static byte[] Patch(ReadOnlySpan<byte> library)
    {
        var at = WeakFlagOffset(library);
        if (at < 0)
            throw new AisleException("AISLE-5004", $"The shim is not an ELF library that asks for {Version}.",
                $"Use the TorchSharp version this build was made with, or install a GCC 13 or newer C++ runtime.");
        var copy = library.ToArray();
        const ushort Weak = 2;   // VER_FLG_WEAK
        var flags = BinaryPrimitives.ReadUInt16LittleEndian(copy.AsSpan(at));
        BinaryPrimitives.WriteUInt16LittleEndian(copy.AsSpan(at), (ushort)(flags | Weak));
        return copy;
    }

    // Source for the layout: System V ABI, and the Linux Standard Base chapter "Symbol Versioning" (Elfxx_Verneed, Elfxx_Vernaux).
    private static int WeakFlagOffset(ReadOnlySpan<byte> library)
    {
        try
        {
            if (library.Length < 64 || !library[..6].SequenceEqual("\u007fELF\u0002\u0001"u8)) return -1;
            long headers = Int64(library, 32);
            int size = UInt16(library, 54), count = UInt16(library, 56);
            long dynamicAt = -1, dynamicSize = 0;
            List<(long Address, long Offset, long Size)> loaded = [];
            for (var i = 0; i < count; i++)
            {
                var at = headers + (long)i * size;
                var kind = UInt32(library, at);
                if (kind == 1) loaded.Add((Int64(library, at + 16), Int64(library, at + 8), Int64(library, at + 32)));
                if (kind == 2) (dynamicAt, dynamicSize) = (Int64(library, at + 8), Int64(library, at + 32));
            }

            long strings = -1, needs = -1, needCount = 0;
            for (long at = dynamicAt, end = dynamicAt + dynamicSize; dynamicAt >= 0 && at + 16 <= end; at += 16)
            {
                var value = Int64(library, at + 8);
                switch (Int64(library, at))
                {
                    case 5: strings = FileOffset(value); break;
                    case 0x6ffffffe: needs = FileOffset(value); break;
                    case 0x6fffffff: needCount = value; break;
                }
            }

            if (strings < 0 || needs < 0) return -1;
            for (long file = needs, f = 0; f < Math.Min(needCount, 1000); f++)
            {
                int versions = UInt16(library, file + 2);
                for (long version = file + UInt32(library, file + 8), v = 0; v < versions; v++)
                {
                    if (NameIs(library, strings + UInt32(library, version + 8))) return checked((int)version + 4);
                    version += UInt32(library, version + 12);
                }

                file += UInt32(library, file + 12);
            }

            return -1;

            long FileOffset(long address) => loaded.Where(s => address >= s.Address && address < s.Address + s.Size)
                .Select(s => address - s.Address + s.Offset).DefaultIfEmpty(-1).First();
        }
        catch (Exception fault) when (fault is ArgumentOutOfRangeException or OverflowException)
        {
            return -1;   // an offset points outside the file
        }

        static long Int64(ReadOnlySpan<byte> bytes, long at) => BinaryPrimitives.ReadInt64LittleEndian(bytes[checked((int)at)..]);
        static uint UInt32(ReadOnlySpan<byte> bytes, long at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[checked((int)at)..]);
        static ushort UInt16(ReadOnlySpan<byte> bytes, long at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[checked((int)at)..]);
        static bool NameIs(ReadOnlySpan<byte> bytes, long at) => bytes[checked((int)at)..].StartsWith(Encoding.ASCII.GetBytes(Version + '\0'));
    }

    private static bool IsAlready(string path, ReadOnlySpan<byte> content)
    {
        try
        {
            return File.Exists(path) && content.SequenceEqual(File.ReadAllBytes(path));
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static string CacheFolder() => Path.Combine(
        Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } chosen && Path.IsPathRooted(chosen)
            ? chosen
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"),
        "aisle", "native");

    [LibraryImport("libc", EntryPoint = "dlvsym", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint FindVersioned(nint library, string symbol, string version);
}
