using System.Runtime.InteropServices;

namespace Aisle.Training;

/// <summary>Which of a worker's numbers a test harms.</summary>
internal enum MemoryPlace
{
    /// <summary>A slice's gradient, before it is added to anything.</summary>
    Gradient,
    Weight,
    Mean,
    Variance,

    /// <summary>The step's mean gradient as this worker holds it.</summary>
    Reduced,
}

/// <summary>For tests: a bit that flips in a worker's memory.</summary>
/// <param name="Times">In so many steps from <paramref name="Step"/> on: once in each, but in every gradient where there is more than one step.</param>
internal sealed record MemoryFault(MemoryPlace Place, long Step, int Times = 1)
{
    private const int Element = 7;
    private const int Bit = 1 << 21; // of the fraction: a plausible number becomes another
    private long _last = -1;

    public ReadOnlySpan<float> Harmed(MemoryPlace place, long step, ReadOnlySpan<float> memory)
    {
        var copy = memory.ToArray();
        Flip(place, step, copy);
        return copy;
    }

    public void Flip(MemoryPlace place, long step, Span<float> memory)
    {
        if (place != Place || step < Step || step >= Step + Times || (step == _last && !(Place == MemoryPlace.Gradient && Times > 1))) return;
        _last = step;
        MemoryMarshal.Cast<float, int>(memory)[Element] ^= Bit;
    }
}
