using System.Buffers.Binary;
using System.Text;
using CsCheck;

namespace Aisle.Tensors.Tests;

public sealed class SafetensorsTests
{
    private static readonly TensorSlot[] Slots = [new("b.weight", [2, 3], 0, true), new("a.norm", [3], 6, false)];
    private static readonly float[] Values = [1, -2, 3.5f, 4, 5, float.Epsilon, 7, 8, 9];

    [Fact]
    public void What_is_written_is_read_back()
    {
        var entries = Safetensors.Parse(Written());
        Assert.Equal(["a.norm", "b.weight"], entries.Keys.Order());
        foreach (var slot in Slots)
        {
            var read = new float[slot.Length];
            entries[slot.Name].CopyTo(read);
            Assert.Equal(Values[slot.Offset..(slot.Offset + slot.Length)], read);
            Assert.Equal(slot.Shape.Select(s => (long)s), entries[slot.Name].Shape);
        }
    }

    [Fact]
    public void The_same_tensors_give_the_same_bytes_in_any_order_and_data_begins_at_a_multiple_of_8()
    {
        using var reversed = new MemoryStream();
        Safetensors.Write(reversed, Slots.Reverse(), Values);
        Assert.Equal(Written(), reversed.ToArray());
        Assert.Equal(0ul, BinaryPrimitives.ReadUInt64LittleEndian(Written()) % 8);
    }

    [Theory]
    [InlineData("F16", new byte[] { 0x00, 0x3C, 0x00, 0xC0 })]
    [InlineData("BF16", new byte[] { 0x80, 0x3F, 0x00, 0xC0 })]
    public void Half_precision_is_widened(string type, byte[] oneAndMinusTwo)
    {
        var read = new float[2];
        Safetensors.Parse(File("""{"x":{"dtype":"TYPE","shape":[2],"data_offsets":[0,4]}}""".Replace("TYPE", type), oneAndMinusTwo))["x"].CopyTo(read);
        Assert.Equal([1f, -2f], read);
    }

    [Theory]
    [InlineData("""{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}""", 4)]              // fewer bytes than the shape
    [InlineData("""{"x":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}""", 8)]               // a hole
    [InlineData("""{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"y":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}""", 6)]   // an overlap
    [InlineData("""{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"x":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}""", 8)]   // a doubled name
    [InlineData("""{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", 5)]               // bytes nobody owns
    [InlineData("""{"x":{"dtype":"U8","shape":[9223372036854775807,4],"data_offsets":[0,4]}}""", 4)]
    [InlineData("""{"x":{"dtype":"3","shape":[4],"data_offsets":[0,4]}}""", 4)]
    [InlineData("""{"x":{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}}""", 4)]
    [InlineData("""{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"code":"import os"}}""", 4)]
    [InlineData("""{"__metadata__":{"a":1}}""", 0)]
    [InlineData("[]", 0)]
    public void A_header_that_does_not_fit_its_data_is_refused(string header, int dataBytes) =>
        Assert.Equal("AISLE-5020", Assert.Throws<AisleException>(() => Safetensors.Parse(File(header, new byte[dataBytes]))).Code);

    [Fact]
    public void A_header_length_beyond_the_file_or_the_limit_allocates_nothing()
    {
        foreach (var length in (ulong[])[1_000, 100_000_001, ulong.MaxValue])
        {
            var file = new byte[64];
            BinaryPrimitives.WriteUInt64LittleEndian(file, length);
            var before = GC.GetAllocatedBytesForCurrentThread();
            Assert.Throws<AisleException>(() => Safetensors.Parse(file));
            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 64 * 1024);
        }
    }

    [Fact]
    public void A_damaged_file_is_read_or_refused_with_a_code() =>
        Corruption.Of(Written()).Sample(bytes =>
        {
            try
            {
                Safetensors.Parse(bytes);
            }
            catch (AisleException fault)
            {
                Assert.Equal("AISLE-5020", fault.Code);
            }
        }, iter: 20_000);

    private static byte[] Written()
    {
        using var stream = new MemoryStream();
        Safetensors.Write(stream, Slots, Values);
        return stream.ToArray();
    }

    private static byte[] File(string header, byte[] data)
    {
        var length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, Encoding.UTF8.GetByteCount(header));
        return [.. length, .. Encoding.UTF8.GetBytes(header), .. data];
    }
}
