using System.Runtime.InteropServices;

namespace Aisle.Training.Collectives;

/// <summary>
/// The parts of OpenMPI's binary interface that sums need. Handles such as MPI_COMM_WORLD are addresses of variables that libmpi exports; MPICH and its kin have
/// numbers instead, and are refused.
/// </summary>
/// <remarks>Source: mpi.h of Open MPI 4.1, whose interface (libmpi.so.40) is that of 4.0 to 5.0.</remarks>
internal sealed unsafe class OpenMpi
{
    public const int Success = 0;
    public const int ThreadSerialized = 2;
    public static readonly void* InPlace = (void*)1;
    private const int MostTextBytes = 256;
    private static readonly string[] s_names = ["libmpi.so.40", "libmpi.so"];

    public readonly delegate* unmanaged<int*, void*, int, int*, int> InitThread;
    public readonly delegate* unmanaged<int*, int> Initialized;
    public readonly delegate* unmanaged<int*, int> Finalized;
    public readonly delegate* unmanaged<int*, int> QueryThread;
    public readonly delegate* unmanaged<int> FinalizeAll;
    public readonly delegate* unmanaged<nint, nint*, int> CommDup;
    public readonly delegate* unmanaged<nint*, int> CommFree;
    public readonly delegate* unmanaged<nint, nint, int> CommSetErrorHandler;
    public readonly delegate* unmanaged<nint, int*, int> CommRank;
    public readonly delegate* unmanaged<nint, int*, int> CommSize;
    public readonly delegate* unmanaged<nint, nint, void*, int> AllocMem;
    public readonly delegate* unmanaged<void*, int> FreeMem;
    public readonly delegate* unmanaged<void*, void*, int*, nint, nint, nint, int> ReduceScatter;
    public readonly delegate* unmanaged<void*, int, nint, void*, int, nint, nint, int> AllGather;
    private readonly delegate* unmanaged<int, byte*, int*, int> _errorString;

    private OpenMpi(NativeFunctions library)
    {
        if (!library.Has("ompi_mpi_comm_world")) throw Refusal($"{library.Name} is {VersionOf(library)}, whose binary interface is another");
        Version = VersionOf(library);
        World = library["ompi_mpi_comm_world"];
        ErrorsReturn = library["ompi_mpi_errors_return"];
        Int64 = library["ompi_mpi_int64_t"];
        Sum = library["ompi_mpi_op_sum"];
        NoInfo = library["ompi_mpi_info_null"];
        InitThread = (delegate* unmanaged<int*, void*, int, int*, int>)library["MPI_Init_thread"];
        Initialized = (delegate* unmanaged<int*, int>)library["MPI_Initialized"];
        Finalized = (delegate* unmanaged<int*, int>)library["MPI_Finalized"];
        QueryThread = (delegate* unmanaged<int*, int>)library["MPI_Query_thread"];
        FinalizeAll = (delegate* unmanaged<int>)library["MPI_Finalize"];
        CommDup = (delegate* unmanaged<nint, nint*, int>)library["MPI_Comm_dup"];
        CommFree = (delegate* unmanaged<nint*, int>)library["MPI_Comm_free"];
        CommSetErrorHandler = (delegate* unmanaged<nint, nint, int>)library["MPI_Comm_set_errhandler"];
        CommRank = (delegate* unmanaged<nint, int*, int>)library["MPI_Comm_rank"];
        CommSize = (delegate* unmanaged<nint, int*, int>)library["MPI_Comm_size"];
        AllocMem = (delegate* unmanaged<nint, nint, void*, int>)library["MPI_Alloc_mem"];
        FreeMem = (delegate* unmanaged<void*, int>)library["MPI_Free_mem"];
        ReduceScatter = (delegate* unmanaged<void*, void*, int*, nint, nint, nint, int>)library["MPI_Reduce_scatter"];
        AllGather = (delegate* unmanaged<void*, int, nint, void*, int, nint, nint, int>)library["MPI_Allgather"];
        _errorString = (delegate* unmanaged<int, byte*, int*, int>)library["MPI_Error_string"];
    }

    /// <param name="path">A file to take instead of the system's.</param>
    /// <exception cref="AisleException">AISLE-5190: there is no OpenMPI here.</exception>
    public static OpenMpi Load(string? path = null) => new(new NativeFunctions(path is null ? s_names : [path], Refusal));

    /// <summary>As the library says it, e.g. <c>Open MPI v4.1.4</c>.</summary>
    public string Version { get; }

    public nint World { get; }

    public nint ErrorsReturn { get; }

    public nint Int64 { get; }

    public nint Sum { get; }

    public nint NoInfo { get; }

    public string ErrorText(int code)
    {
        var text = stackalloc byte[MostTextBytes];
        var length = 0;
        return _errorString(code, text, &length) == Success ? Marshal.PtrToStringUTF8((nint)text, Math.Clamp(length, 0, MostTextBytes)) : $"error {code}";
    }

    private static string VersionOf(NativeFunctions library)
    {
        if (!library.Has("MPI_Get_library_version")) return "no MPI library of version 3 or later";
        // The longest that any kin writes is MPICH's 8192.
        var text = stackalloc byte[8192];
        var length = 0;
        var version = (delegate* unmanaged<byte*, int*, int>)library["MPI_Get_library_version"];
        if (version(text, &length) != Success) return "an MPI library that does not say its version";
        return Marshal.PtrToStringUTF8((nint)text, Math.Clamp(length, 0, 8192)).Split(',', '\n')[0].Trim();
    }

    private static AisleException Refusal(string what) => new(
        "AISLE-5190", $"There is no OpenMPI to sum gradients with: {what}.", "Install OpenMPI 4 or 5 (on Debian: `apt-get install openmpi-bin`), or train with `aisle launch`, which needs no MPI.");
}
