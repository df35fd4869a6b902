using System.Globalization;
using Aisle.Artifacts;

namespace Aisle.Ledger;

/// <summary>Questions that the state answers by itself.</summary>
public sealed partial record LedgerState
{
    /// <summary>What a reference means now: <c>models/docs</c> and <c>models/docs@latest</c> the newest version, <c>models/docs@3</c> the third,
    /// <c>models/docs@production</c> what the alias points at, <c>sha256:…</c> itself (known here or not).</summary>
    /// <returns>False when it is malformed or there is no such name, version or alias.</returns>
    public bool TryResolve(string? reference, out Digest digest)
    {
        digest = default;
        if (string.IsNullOrEmpty(reference) || reference.Length > LedgerGrammar.MaxNameLength + 1 + LedgerGrammar.MaxWordLength) return false;
        if (reference.StartsWith("sha256:", StringComparison.Ordinal)) return Digest.TryParse(reference, out digest);

        var at = reference.IndexOf('@');
        var name = at < 0 ? reference : reference[..at];
        var which = at < 0 ? LedgerGrammar.Latest : reference[(at + 1)..];
        if (!Names.TryGetValue(name, out var entry)) return false;
        if (which == LedgerGrammar.Latest)
        {
            digest = entry.Latest.Digest;
            return true;
        }
        if (int.TryParse(which, NumberStyles.None, CultureInfo.InvariantCulture, out var number))
        {
            if (number < 1 || number > entry.History.Length) return false;
            digest = entry.History[number - 1].Digest;
            return true;
        }
        return entry.Aliases.TryGetValue(which, out digest);
    }

    /// <summary>The result that had <paramref name="output"/> among its outputs first, or null when no job here made it.</summary>
    public JobResult? ProducerOf(Digest output) => Producers.TryGetValue(output, out var identity) ? Results.GetValueOrDefault(identity) : null;
}
