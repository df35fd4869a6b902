using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Aisle.Tensors;

/// <summary>Tensors over memory that libtorch does not own.</summary>
internal static unsafe class NativeTensor
{
    private delegate void Release(nint data);

    // Called by libtorch when a tensor and all its views are gone; must outlive every tensor, and has nothing to free.
    private static readonly Release Nothing = _ => { };

    /// <summary>A float32 CPU tensor whose elements are the floats at <paramref name="data"/>. The memory must outlive the tensor and its views.</summary>
    /// <returns>Not part of any dispose scope; the caller disposes it.</returns>
    public static Tensor Over(float* data, ReadOnlySpan<long> shape)
    {
        const sbyte Float32 = 6;
        fixed (long* sizes = shape)
        {
            var handle = THSTensor_new((nint)data, Nothing, sizes, shape.Length, Float32, Float32, deviceType: 0, deviceIndex: 0, requiresGradient: false);
            return Tensor.UnsafeCreateTensor(handle).DetachFromDisposeScope();
        }
    }

    // TorchSharp's own entry point for arrays; its public methods pin managed arrays only.
    [DllImport("LibTorchSharp")]
    private static extern nint THSTensor_new(
        nint data, Release release, long* sizes, int rank, sbyte type, sbyte elementType, int deviceType, int deviceIndex,
        [MarshalAs(UnmanagedType.U1)] bool requiresGradient);
}
