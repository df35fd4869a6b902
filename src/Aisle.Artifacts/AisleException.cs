namespace Aisle;

/// <summary>A failure a user can act on: a stable code, what happened with its values, and the next step.</summary>
/// <param name="code">Stable, searchable, e.g. <c>AISLE-1004</c>. 1xxx artifacts, 2xxx ledger, 3xxx jobs, 4xxx pipelines, 5xxx tensors and training,
/// 6xxx serving, 7xxx API and command line, 8xxx identity: joining and mutual TLS.</param>
/// <param name="what">What happened, with the values that matter.</param>
/// <param name="next">What to do about it.</param>
public class AisleException(string code, string what, string next, Exception? inner = null) : Exception($"{code}: {what} {next}", inner)
{
    public string Code { get; } = code;

    public string What { get; } = what;

    public string Next { get; } = next;
}
