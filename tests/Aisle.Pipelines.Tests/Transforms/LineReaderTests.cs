using CsCheck;

namespace Aisle.Pipelines.Tests.Transforms;

public sealed class LineReaderTests
{
    [Fact]
    public void Lines_are_those_between_line_feeds_however_the_bytes_arrive() =>
        Gen.Select(Gen.Frequency((5, Gen.Byte[97, 122]), (2, Gen.Const((byte)'\n'))).Array[0, 200], Gen.Int[1, 40], Gen.Int[1, 7]).Sample((bytes, limit, pace) =>
        {
            var expected = System.Text.Encoding.ASCII.GetString(bytes).Split('\n').ToList();
            if (expected[^1].Length == 0) expected.RemoveAt(expected.Count - 1);
            var lines = new LineReader(new Trickle(bytes, pace), limit);
            var read = new List<string>();
            while (lines.TryRead())
            {
                read.Add(lines.Fault is null ? System.Text.Encoding.ASCII.GetString(lines.Line.Span) : "too long");
                Assert.Equal(read.Count, lines.Number);
            }
            Assert.Equal(expected.Select(line => line.Length > limit ? "too long" : line), read);
        });

    private sealed class Trickle(byte[] bytes, int pace) : MemoryStream(bytes)
    {
        public override int Read(Span<byte> buffer) => base.Read(buffer[..Math.Min(pace, buffer.Length)]);
    }
}
