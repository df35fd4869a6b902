using System.Text;
using CsCheck;

namespace Aisle.Tensors.Tests;

public sealed class LanguageModelConfigTests
{
    [Fact]
    public void A_configuration_survives_its_file()
    {
        var config = Small.Config with { KeyValueHeads = 2, RotaryBase = 500_000, NormEpsilon = 1e-6, TiedEmbeddings = false };
        Assert.Equal(config, LanguageModelConfig.Parse(Encoding.UTF8.GetBytes(config.ToJson())));
    }

    [Fact]
    public void Every_fault_is_named_at_once()
    {
        var fault = Assert.Throws<AisleException>(() => (Small.Config with { Layers = 0, Width = 30, ContextTokens = -1, NormEpsilon = double.NaN }).Validate());
        Assert.Equal("AISLE-5010", fault.Code);
        Assert.All(["Layers is 0", "Width 30 is not a multiple", "ContextTokens is -1", "NormEpsilon is NaN"], part => Assert.Contains(part, fault.What));
    }

    [Fact]
    public void Another_kind_of_model_is_refused_with_every_reason()
    {
        var fault = Assert.Throws<AisleException>(() => LanguageModelConfig.Parse("""{"model_type":"mistral","hidden_act":"gelu","rope_scaling":{"factor":2},"hidden_size":"wide"}"""u8.ToArray()));
        Assert.Equal("AISLE-5011", fault.Code);
        Assert.All(["model_type", "hidden_act", "rope_scaling", "hidden_size", "vocab_size is missing"], part => Assert.Contains(part, fault.What));
    }

    [Fact]
    public void A_damaged_file_is_read_or_refused_with_a_code() =>
        Corruption.Of(Encoding.UTF8.GetBytes(Small.Config.ToJson())).Sample(bytes =>
        {
            try
            {
                LanguageModelConfig.Parse(bytes);
            }
            catch (AisleException fault)
            {
                Assert.Contains(fault.Code, (string[])["AISLE-5010", "AISLE-5011"]);
            }
        }, iter: 10_000);
}
