using Aisle.Artifacts;

namespace Aisle.Ledger;

/// <summary>Rules of names: versions only grow, aliases point into the history, and a mover can insist on what it saw.</summary>
public sealed partial record LedgerState
{
    /// <summary>Versions a name can have. Beyond it moves are refused: nothing of a history is dropped in silence.</summary>
    public const int MaxVersions = 100_000;

    /// <summary>Aliases a name can have.</summary>
    public const int MaxAliases = 256;

    private (LedgerState State, LedgerAnswer Answer) Apply(MoveName move)
    {
        if (!LedgerGrammar.IsName(move.Name)) return RefuseName(move.Name);
        var entry = Names.GetValueOrDefault(move.Name);
        var version = entry?.Latest.Number ?? 0;
        if (move.Expected is { } expected && expected != version)
        {
            return Refuse(LedgerCodes.VersionConflict,
                version == 0
                    ? $"{move.Name} does not exist; version {expected} was expected."
                    : $"{move.Name} is at version {version} ({entry!.Latest.Digest.Short}); version {expected} was expected.",
                $"Look at `aisle history {move.Name}` and decide again.");
        }
        if (entry is not null && entry.Latest.Digest == move.Digest) return Accept();
        if (version >= MaxVersions)
        {
            return Refuse(LedgerCodes.HistoryFull, $"{move.Name} has {version} versions, the most a name can have.", "Go on under another name.");
        }
        var added = new NameVersion(version + 1, move.Digest, move.At, move.By);
        entry = entry is null ? new NameEntry { History = [added] } : entry with { History = entry.History.Add(added) };
        return (this with { Names = Names.SetItem(move.Name, entry) }).Accept();
    }

    private (LedgerState State, LedgerAnswer Answer) Apply(SetAlias alias)
    {
        if (!LedgerGrammar.IsName(alias.Name)) return RefuseName(alias.Name);
        if (!LedgerGrammar.IsAlias(alias.Alias))
        {
            return Refuse(LedgerCodes.AliasMalformed, $"{Quote(alias.Alias)} cannot be an alias.",
                "Use a letter, then letters, digits, '.', '_' and '-', lower case, at most 128 characters.");
        }
        if (alias.Alias == LedgerGrammar.Latest)
        {
            return Refuse(LedgerCodes.AliasMalformed, "'latest' always means the newest version and cannot be set.", "Choose another alias, such as 'production'.");
        }
        if (!Names.TryGetValue(alias.Name, out var entry)) return RefuseUnknownName(alias.Name);
        if (!entry.History.Any(version => version.Digest == alias.Digest))
        {
            return Refuse(LedgerCodes.NotInHistory, $"{alias.Digest} was never a version of {alias.Name}.",
                $"Pick one from `aisle history {alias.Name}`, or put it under the name first.");
        }
        if (!entry.Aliases.ContainsKey(alias.Alias) && entry.Aliases.Count >= MaxAliases)
        {
            return Refuse(LedgerCodes.HistoryFull, $"{alias.Name} has {MaxAliases} aliases, the most a name can have.", "Move one that it has.");
        }
        return (this with { Names = Names.SetItem(alias.Name, entry with { Aliases = entry.Aliases.SetItem(alias.Alias, alias.Digest) }) }).Accept();
    }

    private (LedgerState State, LedgerAnswer Answer) Apply(RemoveName remove)
    {
        if (!LedgerGrammar.IsName(remove.Name)) return RefuseName(remove.Name);
        return Names.ContainsKey(remove.Name)
            ? (this with { Names = Names.Remove(remove.Name) }).Accept()
            : RefuseUnknownName(remove.Name);
    }

    private (LedgerState State, LedgerAnswer Answer) RefuseName(string? name) => Refuse(LedgerCodes.NameMalformed,
        $"{Quote(name)} cannot be a name.",
        "Write segments of a-z, 0-9, '.', '_' and '-' that begin with a letter or digit, joined by '/', at most 256 characters: models/docs.");

    private (LedgerState State, LedgerAnswer Answer) RefuseUnknownName(string name) => Refuse(LedgerCodes.NameNotFound,
        $"There is no name {name}.", "List the names with `aisle ls`.");
}
