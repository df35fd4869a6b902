using System.Runtime.InteropServices;

namespace Aisle.Training.Collectives;

/// <summary>
/// MPI as a collective: a duplicate of MPI_COMM_WORLD, so that a program's own messages cannot meet these. Errors come back as exceptions; but when a rank dies,
/// OpenMPI's <c>mpirun</c> ends the others, and no exception is seen.
/// </summary>
internal sealed unsafe class MpiCollective : ICollective
{
    private readonly OpenMpi _mpi;
    private readonly nint _world;
    private readonly bool _isOurs; // whether MPI was initialised here, and is finalised here
    private readonly List<nint> _memory = [];
    private int* _counts;
    private int _countsBlock = -1;

    /// <exception cref="AisleException">AISLE-5190: no OpenMPI. AISLE-5191: MPI cannot be used any more, or not from several threads. AISLE-5194: it failed.</exception>
    public MpiCollective(OpenMpi mpi)
    {
        _mpi = mpi;
        _isOurs = Initialize(mpi);
        nint world;
        Check(mpi.CommDup(mpi.World, &world), "MPI_Comm_dup");
        _world = world;
        Check(mpi.CommSetErrorHandler(world, mpi.ErrorsReturn), "MPI_Comm_set_errhandler");
        int rank, ranks;
        Check(mpi.CommRank(world, &rank), "MPI_Comm_rank");
        Check(mpi.CommSize(world, &ranks), "MPI_Comm_size");
        (Rank, Ranks) = (rank, ranks);
        _counts = (int*)NativeMemory.Alloc((nuint)ranks, sizeof(int));
    }

    public int Rank { get; }

    public int Ranks { get; }

    public long* Allocate(nuint words)
    {
        void* memory;
        Check(_mpi.AllocMem(checked((nint)(words * sizeof(long))), _mpi.NoInfo, &memory), "MPI_Alloc_mem");
        NativeMemory.Clear(memory, words * sizeof(long));
        _memory.Add((nint)memory);
        return (long*)memory;
    }

    public void ReduceScatter(long* values, long* own, int block)
    {
        if (_countsBlock != block)
        {
            new Span<int>(_counts, Ranks).Fill(block);
            _countsBlock = block;
        }
        Check(_mpi.ReduceScatter(values, own, _counts, _mpi.Int64, _mpi.Sum, _world), "MPI_Reduce_scatter");
    }

    public void AllGather(long* all, int block) => Check(_mpi.AllGather(OpenMpi.InPlace, 0, _mpi.Int64, all, block, _mpi.Int64, _world), "MPI_Allgather");

    public void Complete()
    {
        foreach (var memory in _memory) _mpi.FreeMem((void*)memory);
        _memory.Clear();
        var world = _world;
        Check(_mpi.CommFree(&world), "MPI_Comm_free");
        if (_isOurs) Check(_mpi.FinalizeAll(), "MPI_Finalize");
    }

    /// <summary>Finalises nothing: that waits for all ranks. A process that ends without it, and with an exit code other than 0, makes <c>mpirun</c> end the others.</summary>
    public void Dispose()
    {
        NativeMemory.Free(_counts);
        _counts = null;
    }

    private static bool Initialize(OpenMpi mpi)
    {
        int done, level;
        mpi.Finalized(&done);
        if (done != 0) throw new AisleException("AISLE-5191", "MPI was finalised in this process already, and cannot begin anew.", "Sum all that is to be summed in one world, or start another process.");
        mpi.Initialized(&done);
        if (done != 0)
        {
            mpi.QueryThread(&level);
        }
        else if (mpi.InitThread(null, null, OpenMpi.ThreadSerialized, &level) is var code and not OpenMpi.Success)
        {
            throw new AisleException("AISLE-5194", $"MPI_Init_thread failed: {mpi.ErrorText(code)}.", "Start the program with `mpirun -n RANKS program`; its own message above says more.");
        }
        if (level < OpenMpi.ThreadSerialized)
        {
            throw new AisleException("AISLE-5191", "This MPI was initialised for one thread alone.", "Call MPI_Init_thread with MPI_THREAD_SERIALIZED, or leave it to Aisle.");
        }
        return done == 0;
    }

    private void Check(int code, string call)
    {
        if (code == OpenMpi.Success) return;
        throw new AisleException("AISLE-5194", $"{call} failed on rank {Rank} of {Ranks}: {_mpi.ErrorText(code)}.", "Start all ranks again, from the newest checkpoint.");
    }
}
