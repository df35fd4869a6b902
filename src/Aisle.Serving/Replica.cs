using System.Security.Cryptography;
using System.Text;

namespace Aisle.Serving;

/// <summary>One served model: who may ask it, how many at once, and what it has done so far. Thread-safe.</summary>
public sealed class Replica : IDisposable
{
    private readonly byte[] _tokenHash;
    private long _requests;
    private long _promptTokens;
    private long _completionTokens;

    /// <param name="generator">The model.</param>
    /// <param name="options">Its folder and address are not looked at here.</param>
    /// <param name="time">For the time stamp in answers.</param>
    public Replica(TextGenerator generator, ReplicaOptions options, TimeProvider? time = null)
    {
        Generator = generator;
        ModelName = options.ModelName;
        Time = time ?? TimeProvider.System;
        Started = Time.GetUtcNow();
        Admission = new Admission(options.Concurrency, options.QueueLength);
        _tokenHash = Hash(options.Token);
    }

    public string ModelName { get; }

    public TextGenerator Generator { get; }

    /// <summary>Requests that run or wait now.</summary>
    public int Active => Admission.Inside;

    /// <summary>Requests answered to their end.</summary>
    public long Requests => Interlocked.Read(ref _requests);

    public long PromptTokens => Interlocked.Read(ref _promptTokens);

    public long CompletionTokens => Interlocked.Read(ref _completionTokens);

    internal TimeProvider Time { get; }

    internal DateTimeOffset Started { get; }

    internal Admission Admission { get; }

    /// <summary>Whether an Authorization header carries the token. Takes the same time wherever a wrong one differs.</summary>
    internal bool Allows(string? authorization)
    {
        const string Scheme = "Bearer ";
        return authorization is not null && authorization.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase) &&
            CryptographicOperations.FixedTimeEquals(Hash(authorization[Scheme.Length..].Trim()), _tokenHash);
    }

    internal void Count(Generation generation)
    {
        Interlocked.Increment(ref _requests);
        Interlocked.Add(ref _promptTokens, generation.PromptTokens);
        Interlocked.Add(ref _completionTokens, generation.CompletionTokens);
    }

    public void Dispose() => Admission.Dispose();

    private static byte[] Hash(string token) => SHA256.HashData(Encoding.UTF8.GetBytes(token));
}
