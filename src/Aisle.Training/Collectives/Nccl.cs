using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Aisle.Training.Collectives;

/// <summary>What names a world of NCCL's: made by rank 0, known to the others. Whoever has it can join, so it is not for everybody to read.</summary>
[InlineArray(SizeBytes)]
internal struct NcclUniqueId
{
    public const int SizeBytes = 128;
    private byte _first;
}

/// <summary>The parts of NCCL's C interface that sums need.</summary>
/// <remarks>Source: nccl.h of NCCL 2.4 and later.</remarks>
internal sealed unsafe class Nccl
{
    public const int Success = 0;
    public const int InProgress = 7;
    public const int Int64 = 4;
    public const int Sum = 0;
    private static readonly string[] s_names = ["libnccl.so.2", "libnccl.so"];

    public readonly delegate* unmanaged<NcclUniqueId*, int> GetUniqueId;
    public readonly delegate* unmanaged<nint*, int, NcclUniqueId, int, int> CommInitRank;
    public readonly delegate* unmanaged<void*, void*, nuint, int, int, nint, nint, int> ReduceScatter;
    public readonly delegate* unmanaged<void*, void*, nuint, int, nint, nint, int> AllGather;
    public readonly delegate* unmanaged<nint, int*, int> CommGetAsyncError;
    public readonly delegate* unmanaged<nint, int> CommAbort;
    public readonly delegate* unmanaged<nint, int> CommDestroy;
    private readonly delegate* unmanaged<int, byte*> _getErrorString;

    /// <param name="path">A file to take instead of the system's.</param>
    /// <exception cref="AisleException">AISLE-5196: it is not here.</exception>
    public Nccl(string? path = null)
    {
        var library = new NativeFunctions(path is null ? s_names : [path], Refusal);
        GetUniqueId = (delegate* unmanaged<NcclUniqueId*, int>)library["ncclGetUniqueId"];
        CommInitRank = (delegate* unmanaged<nint*, int, NcclUniqueId, int, int>)library["ncclCommInitRank"];
        ReduceScatter = (delegate* unmanaged<void*, void*, nuint, int, int, nint, nint, int>)library["ncclReduceScatter"];
        AllGather = (delegate* unmanaged<void*, void*, nuint, int, nint, nint, int>)library["ncclAllGather"];
        CommGetAsyncError = (delegate* unmanaged<nint, int*, int>)library["ncclCommGetAsyncError"];
        CommAbort = (delegate* unmanaged<nint, int>)library["ncclCommAbort"];
        CommDestroy = (delegate* unmanaged<nint, int>)library["ncclCommDestroy"];
        _getErrorString = (delegate* unmanaged<int, byte*>)library["ncclGetErrorString"];
    }

    public string ErrorText(int code) => Marshal.PtrToStringUTF8((nint)_getErrorString(code)) ?? $"error {code}";

    public static AisleException Refusal(string what) => new(
        "AISLE-5196", $"There is no NCCL to sum gradients with: {what}.", "Install NVIDIA's libnccl2 and the CUDA runtime on a machine with their devices, or train with `aisle launch` or over MPI, which need neither.");
}
