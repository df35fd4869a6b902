using Aisle.Tensors;
using Aisle.Training.Numerics;

namespace Aisle.Training;

/// <summary>Sum of the losses of a slice's tokens, and how many tokens there were.</summary>
public readonly record struct SliceLoss(double Sum, long Tokens);

/// <summary>
/// A model with its data: what training needs to know of either. Its two sides are the language model over a folder of tokens and the
/// small managed model that the tests train. Not thread-safe: one slice at a time, and nobody writes weights meanwhile.
/// </summary>
public interface ITrainable : IDisposable
{
    int ParameterCount { get; }

    /// <summary>All parameters, flat; the optimiser writes here.</summary>
    Span<float> Weights { get; }

    /// <summary>Gradient of the last computed slice: the sum over its tokens, not scaled by anything.</summary>
    Span<float> Gradients { get; }

    /// <summary>Names of the parts of <see cref="Weights"/>, in order of offsets, for people: what a comparison of two runs calls them. Empty where they have none.</summary>
    IReadOnlyList<TensorSlot> Tensors => [];

    /// <summary>What a step does with which parameters. Covers 0…<see cref="ParameterCount"/> in order, without gaps.</summary>
    IReadOnlyList<ParameterRun> Runs { get; }

    /// <summary>
    /// Tokens in a step, at least 1: a pure function of the step and the data, known in advance because the gradient is divided by it once, after the fold.
    /// A token is what the loss is averaged over: a predicted one of a language model, a sample elsewhere. May be called on any thread, at any time.
    /// </summary>
    long TokensIn(long step);

    /// <summary>What decides the bits of a gradient on this machine, for people: shown when two workers' canaries differ.</summary>
    string NumericClass => $"dotnet-{Environment.Version.Major}-{System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture}";

    /// <summary>Sets the weights a run starts with: a pure function of the seed, the same on every machine.</summary>
    void Initialize(ulong seed);

    /// <summary>Overwrites <see cref="Gradients"/>. A pure function of (weights, step, slice) within one numeric class.</summary>
    /// <param name="ready">
    /// May be told each range of <see cref="Gradients"/> as soon as it is final, so that summing and sending begin while the rest is computed: every
    /// element once, or nothing at all, and then the whole gradient is taken when this returns.
    /// </param>
    SliceLoss ComputeSlice(long step, int slice, GradientReady? ready = null);

    /// <summary>Writes the weights as the model's users read them, with everything else that belongs beside them. The same bytes for the same weights.</summary>
    void SaveModel(string folder);
}
