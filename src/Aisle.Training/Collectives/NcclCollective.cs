using System.Runtime.InteropServices;

namespace Aisle.Training.Collectives;

/// <summary>
/// NCCL as a collective: what is summed is copied to a device, summed there among the ranks' devices, and copied back. Every buffer has a twin on the device, made once.
/// Each wait looks for failures of other ranks, and for how long it takes: a rank that vanished must not hold the others for ever.
/// </summary>
internal sealed unsafe class NcclCollective : ICollective
{
    private readonly Nccl _nccl;
    private readonly Cuda _cuda;
    private readonly NcclPlace _place;
    private readonly TimeProvider _time;
    private readonly Dictionary<nint, nint> _twins = []; // host memory → device memory
    private nint _stream;
    private nint _world;

    /// <exception cref="AisleException">AISLE-5192, 5197: the ranks do not meet. AISLE-5194: NCCL or CUDA failed. AISLE-5198: there is no such place.</exception>
    public NcclCollective(Nccl nccl, Cuda cuda, NcclPlace place, TimeProvider time)
    {
        (_nccl, _cuda, _place, _time) = (nccl, cuda, place, time);
        var devices = cuda.DeviceCount();
        if (place.Ranks < 1 || place.Rank < 0 || place.Rank >= place.Ranks || place.Device < 0 || place.Device >= devices)
        {
            throw new AisleException(
                "AISLE-5198", $"Rank {place.Rank} of {place.Ranks} on device {place.Device} is no place: ranks and devices count from 0, and this machine has {devices} device{(devices == 1 ? "" : "s")}.",
                "Start as many ranks on this machine as it has devices, each with a device of its own.");
        }
        try
        {
            cuda.SetDevice(place.Device);
            _stream = cuda.CreateStream();
            Meet();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public int Rank => _place.Rank;

    public int Ranks => _place.Ranks;

    public long* Allocate(nuint words)
    {
        _cuda.SetDevice(_place.Device);
        var bytes = checked(words * sizeof(long));
        var host = _cuda.MallocHost(bytes);
        _twins.Add((nint)host, 0);
        _twins[(nint)host] = (nint)_cuda.Malloc(bytes);
        NativeMemory.Clear(host, bytes);
        return (long*)host;
    }

    public void ReduceScatter(long* values, long* own, int block)
    {
        _cuda.SetDevice(_place.Device); // the caller's thread may be another than last time
        var deviceValues = (long*)_twins[(nint)values];
        var deviceOwn = (long*)_twins[(nint)own];
        _cuda.CopyToDevice(deviceValues, values, Bytes(block) * (nuint)Ranks, _stream);
        Check(_nccl.ReduceScatter(deviceValues, deviceOwn, (nuint)block, Nccl.Int64, Nccl.Sum, _world, _stream), "ncclReduceScatter");
        _cuda.CopyToHost(own, deviceOwn, Bytes(block), _stream);
        Wait("ncclReduceScatter");
    }

    public void AllGather(long* all, int block)
    {
        _cuda.SetDevice(_place.Device);
        var device = (long*)_twins[(nint)all];
        var deviceOwn = device + (nint)block * Rank;
        _cuda.CopyToDevice(deviceOwn, all + (nint)block * Rank, Bytes(block), _stream);
        Check(_nccl.AllGather(deviceOwn, device, (nuint)block, Nccl.Int64, _world, _stream), "ncclAllGather");
        _cuda.CopyToHost(all, device, Bytes(block) * (nuint)Ranks, _stream);
        Wait("ncclAllGather");
    }

    public void Complete()
    {
        var world = _world;
        _world = 0;
        Check(_nccl.CommDestroy(world), "ncclCommDestroy");
    }

    /// <summary>Without <see cref="Complete"/>, gives the world up, so that nothing waits for the others.</summary>
    public void Dispose()
    {
        if (_world != 0) _nccl.CommAbort(_world);
        _world = 0;
        foreach (var (host, device) in _twins)
        {
            if (device != 0) _cuda.Free((void*)device);
            _cuda.FreeHost((void*)host);
        }
        _twins.Clear();
        if (_stream != 0) _cuda.DestroyStream(_stream);
        _stream = 0;
    }

    private static nuint Bytes(int block) => (nuint)block * sizeof(long);

    private void Meet()
    {
        NcclUniqueId id;
        if (Rank == 0)
        {
            Check(_nccl.GetUniqueId(&id), "ncclGetUniqueId");
            NcclIdFile.Write(_place.IdFile, Ranks, id);
        }
        else
        {
            id = NcclIdFile.Read(_place.IdFile, Ranks, _place.GiveUpAfter, _time);
        }
        try
        {
            nint world;
            Check(_nccl.CommInitRank(&world, Ranks, id, Rank), "ncclCommInitRank");
            _world = world;
        }
        finally
        {
            // Everyone has met, or nobody will: either way the name is of no more use.
            if (Rank == 0) File.Delete(_place.IdFile);
        }
    }

    private void Wait(string call)
    {
        var start = _time.GetTimestamp();
        var spin = new SpinWait();
        while (!_cuda.IsDone(_stream))
        {
            int fault;
            Check(_nccl.CommGetAsyncError(_world, &fault), "ncclCommGetAsyncError");
            if (fault != Nccl.InProgress) Check(fault, call);
            if (_time.GetElapsedTime(start) > _place.GiveUpAfter)
            {
                throw new AisleException("AISLE-5194", $"{call} on rank {Rank} of {Ranks} is not done after {_place.GiveUpAfter.TotalSeconds:0.###} s.", "A rank is gone or stuck: start all ranks again, from the newest checkpoint.");
            }
            spin.SpinOnce(sleep1Threshold: -1);
        }
    }

    private void Check(int code, string call)
    {
        if (code == Nccl.Success) return;
        throw new AisleException("AISLE-5194", $"{call} failed on rank {Rank} of {Ranks}: {_nccl.ErrorText(code)}.", "Start all ranks again, from the newest checkpoint; NCCL_DEBUG=WARN in the environment makes NCCL say more.");
    }
}
