using System.Runtime.InteropServices;

namespace Aisle.Training.Collectives;

/// <summary>The parts of the CUDA runtime's C interface that NCCL's callers need. A call that fails throws AISLE-5194.</summary>
/// <remarks>Source: cuda_runtime_api.h of CUDA 11 to 13.</remarks>
internal sealed unsafe class Cuda
{
    private const int NotReadyCode = 600;
    private const int NonBlockingStream = 1; // does not wait for what a program does on the default stream
    private const int HostToDevice = 1;
    private const int DeviceToHost = 2;
    private static readonly string[] s_names = ["libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0", "libcudart.so"];
    private readonly delegate* unmanaged<int*, int> _getDeviceCount;
    private readonly delegate* unmanaged<int, int> _setDevice;
    private readonly delegate* unmanaged<void**, nuint, int> _malloc;
    private readonly delegate* unmanaged<void*, int> _free;
    private readonly delegate* unmanaged<void**, nuint, int> _mallocHost;
    private readonly delegate* unmanaged<void*, int> _freeHost;
    private readonly delegate* unmanaged<void*, void*, nuint, int, nint, int> _memcpyAsync;
    private readonly delegate* unmanaged<nint*, uint, int> _streamCreate;
    private readonly delegate* unmanaged<nint, int> _streamDestroy;
    private readonly delegate* unmanaged<nint, int> _streamQuery;
    private readonly delegate* unmanaged<int, byte*> _getErrorString;

    /// <param name="path">A file to take instead of the system's.</param>
    /// <exception cref="AisleException">AISLE-5196: it is not here.</exception>
    public Cuda(string? path = null)
    {
        var library = new NativeFunctions(path is null ? s_names : [path], Nccl.Refusal);
        _getDeviceCount = (delegate* unmanaged<int*, int>)library["cudaGetDeviceCount"];
        _setDevice = (delegate* unmanaged<int, int>)library["cudaSetDevice"];
        _malloc = (delegate* unmanaged<void**, nuint, int>)library["cudaMalloc"];
        _free = (delegate* unmanaged<void*, int>)library["cudaFree"];
        _mallocHost = (delegate* unmanaged<void**, nuint, int>)library["cudaMallocHost"];
        _freeHost = (delegate* unmanaged<void*, int>)library["cudaFreeHost"];
        _memcpyAsync = (delegate* unmanaged<void*, void*, nuint, int, nint, int>)library["cudaMemcpyAsync"];
        _streamCreate = (delegate* unmanaged<nint*, uint, int>)library["cudaStreamCreateWithFlags"];
        _streamDestroy = (delegate* unmanaged<nint, int>)library["cudaStreamDestroy"];
        _streamQuery = (delegate* unmanaged<nint, int>)library["cudaStreamQuery"];
        _getErrorString = (delegate* unmanaged<int, byte*>)library["cudaGetErrorString"];
    }

    public int DeviceCount()
    {
        var count = 0;
        Check(_getDeviceCount(&count), "cudaGetDeviceCount");
        return count;
    }

    /// <summary>For the calling thread.</summary>
    public void SetDevice(int device) => Check(_setDevice(device), "cudaSetDevice");

    public void* Malloc(nuint bytes)
    {
        void* memory;
        Check(_malloc(&memory, bytes), $"cudaMalloc of {bytes} bytes");
        return memory;
    }

    public void Free(void* memory) => _free(memory);

    /// <summary>Memory of this machine that the device copies from and to by itself.</summary>
    public void* MallocHost(nuint bytes)
    {
        void* memory;
        Check(_mallocHost(&memory, bytes), $"cudaMallocHost of {bytes} bytes");
        return memory;
    }

    public void FreeHost(void* memory) => _freeHost(memory);

    public void CopyToDevice(void* device, void* host, nuint bytes, nint stream) => Check(_memcpyAsync(device, host, bytes, HostToDevice, stream), "cudaMemcpyAsync to the device");

    public void CopyToHost(void* host, void* device, nuint bytes, nint stream) => Check(_memcpyAsync(host, device, bytes, DeviceToHost, stream), "cudaMemcpyAsync from the device");

    public nint CreateStream()
    {
        nint stream;
        Check(_streamCreate(&stream, NonBlockingStream), "cudaStreamCreateWithFlags");
        return stream;
    }

    public void DestroyStream(nint stream) => _streamDestroy(stream);

    /// <summary>Whether everything put on the stream so far is done.</summary>
    public bool IsDone(nint stream)
    {
        var code = _streamQuery(stream);
        if (code == NotReadyCode) return false;
        Check(code, "work on the device");
        return true;
    }

    private void Check(int code, string call)
    {
        if (code == 0) return;
        throw new AisleException("AISLE-5194", $"{call} failed: {Marshal.PtrToStringUTF8((nint)_getErrorString(code))}.", "Look at the device with `nvidia-smi`, then start all ranks again, from the newest checkpoint.");
    }
}
