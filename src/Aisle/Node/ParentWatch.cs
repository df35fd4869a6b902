namespace Aisle.Node;

/// <summary>
/// Ends this process when the one that started it is gone: the parent holds the other end of standard input and never writes after the first
/// line, so end of file means that it ended, however it did. Works for kill -9 and on every system, where signals at parent death do not.
/// </summary>
internal static class ParentWatch
{
    /// <summary>Reads the first line, then watches. <paramref name="orphaned"/> runs once, on a thread of its own.</summary>
    public static string? ReadFirstLine(Action orphaned)
    {
        var input = new StreamReader(Console.OpenStandardInput());
        var first = input.ReadLine();
        new Thread(() =>
        {
            try
            {
                while (input.ReadLine() is not null)
                {
                }
            }
            catch (IOException)
            {
                // A broken pipe says the same as its end.
            }
            orphaned();
        })
        {
            IsBackground = true,
            Name = "parent watch",
        }.Start();
        return first;
    }
}
