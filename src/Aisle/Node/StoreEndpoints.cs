using Aisle.Api;
using Aisle.Artifacts;
using Microsoft.AspNetCore.Http.Features;

namespace Aisle.Node;

/// <summary>A content store over HTTP: the other end of <see cref="RemoteStore"/>.</summary>
internal static class StoreEndpoints
{
    /// <summary>Most bytes taken for one shard: the format's own limit and room for its last chunk and footer.</summary>
    private const long MaxShardBytes = 80L << 20;

    public static void MapStore(this IEndpointRouteBuilder routes, string root, IContentStore store)
    {
        routes.MapPost($"{root}/missing", async (HttpContext context, CancellationToken cancellationToken) =>
        {
            var body = await ReadBodyAsync(context, DigestList.MaxCount * Digest.SizeBytes, cancellationToken);
            var presence = await store.FindMissingAsync(DigestList.Decode(body), cancellationToken);
            context.Response.Headers[RemoteStore.CopiesHeader] = $"{presence.Copies}";
            context.Response.Headers[RemoteStore.WantedHeader] = $"{presence.Wanted}";
            return Results.Bytes(DigestList.Encode(presence.Missing));
        });

        routes.MapPut($"{root}/shards/{{id}}", async (string id, HttpContext context, CancellationToken cancellationToken) =>
        {
            if (context.Request.ContentLength is not { } length || length > MaxShardBytes)
                throw new AisleException("AISLE-7012", $"A shard needs a Content-Length of at most {MaxShardBytes} bytes.", "Seal shards at 64 MiB.");
            context.Features.GetRequiredFeature<IHttpMaxRequestBodySizeFeature>().MaxRequestBodySize = MaxShardBytes;
            var receipt = await store.PutShardAsync(Digest.Parse(id), context.Request.Body, length, cancellationToken);
            return TypedResults.Json(new ReceiptView(receipt.Copies, receipt.Wanted), ApiJson.Default.ReceiptView);
        });

        routes.MapGet($"{root}/chunks/{{id}}", async (string id, CancellationToken cancellationToken) =>
            Results.Bytes(await store.ReadChunkAsync(Digest.Parse(id), cancellationToken)));

        routes.MapGet($"{root}/shards", async (CancellationToken cancellationToken) =>
        {
            var shards = await store.ListShardsAsync(cancellationToken);
            return TypedResults.Json([.. shards.Select(shard => new ShardView(shard.Id, shard.LengthBytes))], ApiJson.Default.IReadOnlyListShardView);
        });

        routes.MapGet($"{root}/shards/{{id}}", async (string id, CancellationToken cancellationToken) =>
            Results.Stream(await store.OpenShardAsync(Digest.Parse(id), cancellationToken)));
    }

    private static async Task<byte[]> ReadBodyAsync(HttpContext context, int maxBytes, CancellationToken cancellationToken)
    {
        if (context.Request.ContentLength is not { } length || length > maxBytes)
            throw new AisleException("AISLE-7012", $"The body needs a Content-Length of at most {maxBytes} bytes.", "Ask in several requests.");
        var body = new byte[length];
        await context.Request.Body.ReadExactlyAsync(body, cancellationToken);
        return body;
    }
}
