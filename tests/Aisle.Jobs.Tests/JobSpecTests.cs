using System.Collections.Immutable;
using Aisle.Artifacts;
using Aisle.Ledger;
using CsCheck;

namespace Aisle.Jobs.Tests;

public sealed class JobSpecTests
{
    private static readonly JobSpec Example = new()
    {
        Kind = JobKind.Task,
        Program = "tokenize@1",
        Parameters = ImmutableSortedDictionary.Create<string, string>(StringComparer.Ordinal).Add("seed", "1").Add("validation", "0.02"),
        Inputs = ImmutableSortedDictionary.Create<string, Digest>(StringComparer.Ordinal).Add("documents", Digest.Of("d")),
        Outputs = ["dead", "tokens"],
        Seed = 1,
    };

    [Fact]
    public void The_canonical_form_is_a_promise()
    {
        // Changing these bytes changes every identity: all known results would be forgotten.
        Assert.Equal(
            """{"kind":"Task","program":"tokenize@1","parameters":{"seed":"1","validation":"0.02"},"inputs":{"documents":"sha256:18ac3e7343f016890c510e93f935261169d9e3f565436429830faf0934f4f8e4"},"outputs":["dead","tokens"],"seed":1}""",
            System.Text.Encoding.UTF8.GetString(Example.ToCanonicalJson().Span));
    }

    [Fact]
    public void What_was_written_reads_back_with_its_identity() => Assert.Equal(Example.Identity, JobSpec.Parse(Example.ToCanonicalJson().Span).Identity);

    [Fact]
    public void Anything_that_is_given_changes_the_identity() => Assert.Equal(6, new[]
    {
        Example,
        Example with { Program = "tokenize@2" },
        Example with { Seed = 2 },
        Example with { NumericClass = "x" },
        Example with { Parameters = Example.Parameters.SetItem("seed", "2") },
        Example with { Inputs = Example.Inputs.SetItem("documents", Digest.Of("e")) },
    }.Select(spec => spec.Identity).Distinct().Count());

    [Fact]
    public void Damaged_specs_are_refused_with_a_clear_error() => Gen.Select(Gen.Int[0, 200], Gen.Byte, Gen.Int[0, 2]).Sample((at, value, kind) =>
    {
        var bytes = Example.ToCanonicalJson().ToArray();
        at %= bytes.Length;
        bytes = kind switch
        {
            0 => bytes[..at],
            1 => [.. bytes[..at], value, .. bytes[at..]],
            _ => [.. bytes[..at], value, .. bytes[(at + 1)..]],
        };
        try
        {
            JobSpec.Parse(bytes);
        }
        catch (AisleException e)
        {
            Assert.Equal("AISLE-3001", e.Code);
        }
    });
}
