using Aisle.Api;
using Aisle.Artifacts;
using Aisle.Ledger;

namespace Aisle.Head;

/// <summary>Names, their history and aliases, and lineage, over HTTP.</summary>
internal static class NameApi
{
    public static void MapNames(this IEndpointRouteBuilder routes, ILedger ledger, ArtifactStore artifacts, TimeProvider time)
    {
        routes.MapGet("/v1/names", (string? prefix) => TypedResults.Json(
            [.. ledger.State.Names.Where(pair => pair.Key.StartsWith(prefix ?? "", StringComparison.Ordinal)).Select(pair => Views.Name(pair.Key, pair.Value, pair.Value.Latest))],
            ApiJson.Default.IReadOnlyListNameView));

        routes.MapGet("/v1/resolve", (string target) => TypedResults.Json(Resolve(ledger.State, target), ApiJson.Default.NameView));

        routes.MapGet("/v1/history", (string name) => TypedResults.Json(
            [.. Entry(ledger.State, name).History.Select(version => new NameVersionView(version.Number, version.Digest, version.At,
                [.. Entry(ledger.State, name).Aliases.Where(alias => alias.Value == version.Digest).Select(alias => alias.Key)], version.By?.ToString()))],
            ApiJson.Default.IReadOnlyListNameVersionView));

        routes.MapPut("/v1/names/{**name}", async (string name, HttpContext context, CancellationToken cancellationToken) =>
        {
            var move = await context.ReadAsync(ApiJson.Default.MoveNameRequest, cancellationToken);
            // A name must not point at nothing: the root has to be readable before the move is agreed.
            await artifacts.OpenAsync(move.Digest, cancellationToken);
            await ledger.AgreeAsync(new MoveName(name, move.Digest, Expected: move.Expected) { At = time.GetUtcNow() }, cancellationToken);
            return TypedResults.Json(Resolve(ledger.State, name), ApiJson.Default.NameView);
        });

        routes.MapDelete("/v1/names/{**name}", async (string name, CancellationToken cancellationToken) =>
        {
            await ledger.AgreeAsync(new RemoveName(name) { At = time.GetUtcNow() }, cancellationToken);
            return TypedResults.NoContent();
        });

        routes.MapPost("/v1/aliases/{**name}", async (string name, HttpContext context, CancellationToken cancellationToken) =>
        {
            var request = await context.ReadAsync(ApiJson.Default.SetAliasRequest, cancellationToken);
            var digest = Digest.TryParse(request.Version, out var given) ? given : Resolve(ledger.State, $"{name}@{request.Version}").Digest;
            await ledger.AgreeAsync(new SetAlias(name, request.Alias, digest) { At = time.GetUtcNow() }, cancellationToken);
            return TypedResults.Json(Resolve(ledger.State, $"{name}@{request.Alias}"), ApiJson.Default.NameView);
        });

        routes.MapGet("/v1/lineage", async (string target, CancellationToken cancellationToken) =>
            TypedResults.Json(await Lineage.OfAsync(ledger.State, artifacts, Resolve(ledger.State, target).Digest, cancellationToken), ApiJson.Default.LineageView));
    }

    /// <exception cref="AisleException">AISLE-2003: there is no such name, version or alias.</exception>
    public static NameView Resolve(LedgerState state, string target)
    {
        if (!state.TryResolve(target, out var digest)) throw NotFound(state, target);
        var name = target.Split('@')[0];
        if (state.Names.TryGetValue(name, out var entry))
            return Views.Name(name, entry, entry.History.Last(version => version.Digest == digest));
        return new NameView { Name = digest.ToString(), Digest = digest, Version = 0, At = DateTimeOffset.UnixEpoch };
    }

    private static NameEntry Entry(LedgerState state, string name) => state.Names.GetValueOrDefault(name) ?? throw NotFound(state, name);

    private static AisleException NotFound(LedgerState state, string target)
    {
        var names = state.Names.Keys.Take(5).ToList();
        return new AisleException(LedgerCodes.NameNotFound, $"There is no '{target}' here.",
            names.Count == 0 ? "Nothing has a name yet: `aisle put NAME PATH` gives one." : $"`aisle ls` lists what there is, such as {string.Join(", ", names)}.");
    }
}
