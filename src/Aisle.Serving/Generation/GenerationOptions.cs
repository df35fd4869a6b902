using System.Collections.Immutable;

namespace Aisle.Serving;

/// <summary>How a text is continued.</summary>
public sealed record GenerationOptions
{
    /// <summary>Most tokens to add; from 1 to the model's context.</summary>
    public int MaxTokens
    {
        get;
        init => field = value >= 1 ? value : throw new ArgumentOutOfRangeException(nameof(MaxTokens), value, "Ask for at least 1 token.");
    }
    = 16;

    /// <summary>0 always takes the likeliest token; 1 draws by the model's own probabilities; at most 2.</summary>
    public double Temperature
    {
        get;
        init => field = value is >= 0 and <= 2 ? value : throw new ArgumentOutOfRangeException(nameof(Temperature), value, "Choose 0 to 2.");
    }
    = 1;

    /// <summary>Draws among this many likeliest tokens only; 0 for all.</summary>
    public int TopK
    {
        get;
        init => field = value >= 0 ? value : throw new ArgumentOutOfRangeException(nameof(TopK), value, "Choose 0 (all) or more.");
    }

    /// <summary>Draws among the likeliest tokens that together reach this probability; above 0, at most 1.</summary>
    public double TopP
    {
        get;
        init => field = value is > 0 and <= 1 ? value : throw new ArgumentOutOfRangeException(nameof(TopP), value, "Choose a value above 0, at most 1.");
    }
    = 1;

    /// <summary>The same seed, text and options give the same continuation on one machine.</summary>
    public ulong Seed { get; init; }

    /// <summary>Texts that end the continuation; they are not part of it. None is empty.</summary>
    public ImmutableArray<string> Stop { get; init; } = [];
}

/// <summary>Why a continuation ended.</summary>
public enum FinishReason
{
    /// <summary>The model ended the document, or a stop text came up.</summary>
    Stop,

    /// <summary>As many tokens as were asked for.</summary>
    Length,
}
