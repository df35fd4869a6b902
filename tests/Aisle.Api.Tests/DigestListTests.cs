using Aisle.Artifacts;
using CsCheck;

namespace Aisle.Api.Tests;

public sealed class DigestListTests
{
    [Fact]
    public void What_is_encoded_is_decoded() => Gen.Int[0, 50].Sample(count =>
    {
        Digest[] digests = [.. Enumerable.Range(0, count).Select(i => Digest.Of($"{i}"))];
        Assert.Equal(digests, DigestList.Decode(DigestList.Encode(digests)));
    });

    [Fact]
    public void Bytes_that_are_no_list_are_refused() => Gen.Byte.Array[1, 200].Where(bytes => bytes.Length % 32 != 0).Sample(bytes =>
        Assert.Equal("AISLE-7006", Assert.Throws<AisleException>(() => DigestList.Decode(bytes)).Code));
}
