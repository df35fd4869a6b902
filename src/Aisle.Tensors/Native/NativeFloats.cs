using System.Runtime.InteropServices;

namespace Aisle.Tensors;

/// <summary>What models of this process hold outside the managed heap: counted where it is taken and given back, not calculated. Thread-safe.</summary>
public static class ModelMemory
{
    /// <summary>Bytes now: weights, gradients, activations, scratch.</summary>
    public static long Bytes => NativeFloats.Bytes;

    /// <summary>The most that it has been since <see cref="ForgetMost"/>, or ever.</summary>
    public static long MostBytes => NativeFloats.MostBytes;

    public static void ForgetMost() => NativeFloats.ForgetMost();
}

/// <summary>Memory outside the managed heap, at 64-byte boundaries, counted.</summary>
internal static unsafe class NativeFloats
{
    private const int AlignmentBytes = 64;
    private static long s_bytes, s_most;

    /// <summary>Bytes that are allocated and not yet freed, in the whole process.</summary>
    public static long Bytes => Interlocked.Read(ref s_bytes);

    /// <summary>The most that <see cref="Bytes"/> has been since <see cref="ForgetMost"/>.</summary>
    public static long MostBytes => Interlocked.Read(ref s_most);

    public static void ForgetMost() => Interlocked.Exchange(ref s_most, Bytes);

    /// <summary>Not cleared.</summary>
    public static float* Allocate(long length)
    {
        var bytes = checked(length * sizeof(float));
        var data = (float*)NativeMemory.AlignedAlloc((nuint)bytes, AlignmentBytes);
        var now = Interlocked.Add(ref s_bytes, bytes);
        for (var most = MostBytes; now > most && Interlocked.CompareExchange(ref s_most, now, most) != most; most = MostBytes)
        {
        }

        return data;
    }

    /// <param name="length">As it was allocated.</param>
    public static void Free(float* data, long length)
    {
        NativeMemory.AlignedFree(data);
        Interlocked.Add(ref s_bytes, -length * sizeof(float));
    }
}
