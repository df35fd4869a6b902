using Aisle.Head;

namespace Aisle.Tests.Head;

public sealed class CoordinatorSeatTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("aisle-seat-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_seat_is_the_same_after_a_restart_and_for_its_owners_eyes_only()
    {
        var seat = CoordinatorSeat.Of(_folder) with { Port = 4711, Shunned = ["node-2"] };
        seat.Keep(_folder);
        seat.Keep(_folder);
        var again = CoordinatorSeat.Of(_folder);
        Assert.Equal((4711, seat.Secret), (again.Port, again.Secret));
        Assert.Equal(["node-2"], again.Shunned);
        var file = Assert.Single(Directory.GetFiles(_folder));
        if (!OperatingSystem.IsWindows()) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
        Assert.DoesNotContain(seat.Secret, again.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Every_job_has_a_secret_of_its_own() => Assert.NotEqual(CoordinatorSeat.Of(_folder).Secret, CoordinatorSeat.Of(_folder).Secret);

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("""{"port":4711,"secret":"00ff"}""")]
    [InlineData("""{"port":99999,"secret":"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"}""")]
    [InlineData("""{"port":4711,"secret":null}""")]
    [InlineData("""{"port":4711,"secr""")]
    public void A_file_that_was_not_written_to_its_end_is_a_new_seat(string written)
    {
        File.WriteAllText(Path.Combine(_folder, "coordinator.json"), written);
        var seat = CoordinatorSeat.Of(_folder);
        Assert.Equal((0, 64), (seat.Port, seat.Secret.Length));
    }
}
