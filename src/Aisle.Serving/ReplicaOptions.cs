namespace Aisle.Serving;

/// <summary>What one replica serves, where, and to how many at once.</summary>
public sealed record ReplicaOptions
{
    /// <summary>Holds config.json, model.safetensors and tokenizer.json.</summary>
    public required string ModelFolder { get; init; }

    /// <summary>What clients call the model.</summary>
    public required string ModelName
    {
        get;
        init => field = value.Length is > 0 and <= 256 ? value : throw new ArgumentException("A model's name has 1 to 256 characters.", nameof(ModelName));
    }

    /// <summary>Clients send it as <c>Authorization: Bearer …</c>. At least 16 characters.</summary>
    public required string Token
    {
        get;
        init => field = value.Length >= 16 ? value : throw new ArgumentException("A token has at least 16 characters, so that it cannot be guessed.", nameof(Token));
    }

    /// <summary>Where to listen; port 0 takes a free one.</summary>
    public string Url { get; init; } = "http://127.0.0.1:0";

    /// <summary>Requests that generate at the same time; each keeps one core busy.</summary>
    public int Concurrency
    {
        get;
        init => field = value >= 1 ? value : throw new ArgumentOutOfRangeException(nameof(Concurrency), value, "Run at least 1 request.");
    }
    = Environment.ProcessorCount;

    /// <summary>Requests that may wait for a turn; those beyond get 429.</summary>
    public int QueueLength
    {
        get;
        init => field = value >= 0 ? value : throw new ArgumentOutOfRangeException(nameof(QueueLength), value, "Let 0 or more wait.");
    }
    = 64;
}
