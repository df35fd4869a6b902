using System.Runtime.InteropServices;

namespace Aisle.Training.Exchange;

/// <summary>The system calls that .NET has no name for: memory with a descriptor but no file, and sending from many places at once. 64-bit Linux.</summary>
internal static unsafe partial class Libc
{
    public const int ReadOnly = 0, NonBlocking = 0x800, CloseOnExec = 0x80000;
    public const uint MemoryCloseOnExec = 1, MemoryMaySeal = 2;
    public const int AddSeals = 1033, GetSeals = 1034;
    public const int SealSeal = 1, SealShrink = 2, SealGrow = 4;
    public const int MayRead = 1, MayWrite = 2, MapShared = 1;
    public const int FromEnd = 2;
    public const int SendWithoutWaiting = 0x40, SendWithoutSignal = 0x4000;
    public const int Interrupted = 4, WouldBlock = 11;
    public const short CanSend = 4;
    public static readonly nint Failed = -1;

    [LibraryImport("libc", EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int CreateMemory(string name, uint flags);

    [LibraryImport("libc", EntryPoint = "ftruncate", SetLastError = true)]
    public static partial int SetLength(int descriptor, long bytes);

    [LibraryImport("libc", EntryPoint = "fallocate", SetLastError = true)]
    public static partial int Allocate(int descriptor, int mode, long offset, long bytes);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    public static partial int Control(int descriptor, int command, nint argument);

    [LibraryImport("libc", EntryPoint = "lseek", SetLastError = true)]
    public static partial long Seek(int descriptor, long offset, int from);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "close")]
    public static partial int Close(int descriptor);

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    public static partial nint Map(nint at, nint bytes, int protection, int flags, int descriptor, long offset);

    [LibraryImport("libc", EntryPoint = "munmap")]
    public static partial int Unmap(nint at, nint bytes);

    [LibraryImport("libc", EntryPoint = "sendmsg", SetLastError = true)]
    public static partial nint SendMessage(int descriptor, MessageHeader* message, int flags);

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    public static partial int Poll(PollEntry* entries, nint count, int milliseconds);

    /// <summary>iovec.</summary>
    public struct Piece
    {
        public byte* At;
        public nint Bytes;
    }

    /// <summary>msghdr, as 64-bit Linux lays it out.</summary>
    public struct MessageHeader
    {
        public nint Name;
        public int NameBytes;
        public Piece* Pieces;
        public nint PieceCount;
        public nint Extra;
        public nint ExtraBytes;
        public int Flags;
    }

    /// <summary>pollfd.</summary>
    public struct PollEntry
    {
        public int Descriptor;
        public short Wanted;
        public short Happened;
    }
}
