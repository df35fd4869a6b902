using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using Aisle.Monitoring.TensorBoard;
using Tensorboard;

namespace Aisle.Monitoring.Tests;

public sealed class EventFileTests
{
    private static readonly DateTimeOffset s_start = new(2026, 3, 1, 12, 30, 15, 250, TimeSpan.Zero);

    [Fact]
    public void TensorBoards_own_messages_read_back_what_was_written()
    {
        using var folder = new TemporaryFolder();
        var path = Write(folder.Path);
        Assert.Matches("^events\\.out\\.tfevents\\.1772368215\\.", System.IO.Path.GetFileName(path));

        var events = Records(File.ReadAllBytes(path)).Select(record => Event.Parser.ParseFrom(record)).ToList();
        Assert.Equal("brain.Event:2", events[0].FileVersion);
        Assert.Equal(1772368215.25, events[0].WallTime);
        var text = Assert.Single(events[1].Summary.Value);
        Assert.Equal(("recipe", "text", "| steps | 3 |"), (text.Tag, text.Metadata.PluginData.PluginName, text.Tensor.StringVal[0].ToStringUtf8()));
        Assert.Equal(Tensorboard.DataType.DtString, text.Tensor.Dtype);
        for (var step = 1; step <= 3; step++)
        {
            var written = events[step + 1];
            Assert.Equal(step, written.Step);
            Assert.Equal(1772368215.25 + step * 0.125, written.WallTime);
            Assert.Equal([("loss", 1f / step), ("workers", 2f)], written.Summary.Value.Select(value => (value.Tag, value.SimpleValue)));
        }
        // What is no number is left out, and 64-bit steps survive.
        Assert.Equal(5_000_000_000, events[5].Step);
        Assert.Equal(["loss"], events[5].Summary.Value.Select(value => value.Tag));
        Assert.Equal(6, events.Count);
    }

    [Fact]
    public void The_checksum_is_the_one_of_the_published_example()
    {
        // RFC 3720 appendix B.4: 32 bytes of zeros. The records' checksums are checked with this function, so it must be right by itself.
        Assert.Equal(0x8A9136AAu, Crc(new byte[32]));
    }

    [Fact]
    public void Two_files_of_one_second_do_not_overwrite_each_other()
    {
        using var folder = new TemporaryFolder();
        Assert.NotEqual(Write(folder.Path), Write(folder.Path));
    }

    [Fact]
    public void A_folder_that_cannot_be_made_is_told()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.At("file"), "");
        Assert.Equal("AISLE-5180", Assert.Throws<AisleException>(() => EventFile.Create(folder.At("file"), s_start)).Code);
    }

    [Fact]
    public async Task TensorBoard_itself_reads_the_file_where_it_is_installed()
    {
        const string script = """
            import sys
            from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
            run = EventAccumulator(sys.argv[1]); run.Reload()
            print(*[f"{e.step}:{e.value:.6f}:{e.wall_time}" for e in run.Scalars("loss")])
            """;
        var python = Environment.GetEnvironmentVariable("AISLE_TENSORBOARD_PYTHON") ?? "python3";
        if (await RunAsync(python, ["-c", "import tensorboard.backend.event_processing.event_accumulator"]) is not { Code: 0 })
            Assert.Skip($"'{python}' has no tensorboard package; install it, or point AISLE_TENSORBOARD_PYTHON at a Python that has.");
        using var folder = new TemporaryFolder();
        Write(folder.Path);
        var (code, said) = (await RunAsync(python, ["-c", script, folder.Path]))!.Value;
        Assert.True(code == 0, said);
        Assert.Contains("1:1.000000:1772368215.375 2:0.500000:1772368215.5 3:0.333333:1772368215.625", said, StringComparison.Ordinal);
    }

    private static string Write(string folder)
    {
        using var file = EventFile.Create(folder, s_start);
        file.Text(s_start, 0, "recipe", "| steps | 3 |");
        for (var step = 1; step <= 3; step++) file.Scalars(s_start.AddMilliseconds(125 * step), step, [("loss", 1.0 / step), ("workers", 2)]);
        file.Scalars(s_start, 5_000_000_000, [("loss", 2), ("gradient norm", double.NaN)]);
        return file.Path;
    }

    // Written from the format's description alone: nothing here is shared with the writer, its CRC included.
    private static List<byte[]> Records(ReadOnlySpan<byte> file)
    {
        var records = new List<byte[]>();
        while (file.Length > 0)
        {
            var length = (int)BinaryPrimitives.ReadUInt64LittleEndian(file);
            Assert.Equal(Masked(file[..8]), BinaryPrimitives.ReadUInt32LittleEndian(file[8..]));
            Assert.Equal(Masked(file.Slice(12, length)), BinaryPrimitives.ReadUInt32LittleEndian(file[(12 + length)..]));
            records.Add(file.Slice(12, length).ToArray());
            file = file[(16 + length)..];
        }
        return records;
    }

    private static uint Masked(ReadOnlySpan<byte> bytes)
    {
        var crc = Crc(bytes);
        return unchecked(((crc >> 15) | (crc << 17)) + 0xA282EAD8u);
    }

    private static uint Crc(ReadOnlySpan<byte> bytes)
    {
        var crc = 0xFFFFFFFFu;
        foreach (var value in bytes)
        {
            crc ^= value;
            for (var bit = 0; bit < 8; bit++) crc = (crc & 1) == 0 ? crc >> 1 : crc >> 1 ^ 0x82F63B78u;
        }
        return ~crc;
    }

    private static async Task<(int Code, string Said)?> RunAsync(string program, string[] arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
            await process.WaitForExitAsync();
            return (process.ExitCode, await output + await error);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return null; // no such program
        }
    }
}
