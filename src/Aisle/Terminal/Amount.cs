namespace Aisle.Terminal;

/// <summary>Quantities as people read them: three digits and a unit.</summary>
public static class Amount
{
    private static readonly string[] s_binary = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    private static readonly string[] s_decimal = ["", "k", "M", "G", "T"];

    /// <summary><c>1536</c> → <c>1.5 KiB</c>.</summary>
    public static string Bytes(double bytes)
    {
        var (value, unit) = Scale(bytes, 1024, s_binary.Length);
        return $"{Digits(value, whole: unit == 0)} {s_binary[unit]}";
    }

    /// <summary><c>34120</c> → <c>34.1k</c>.</summary>
    public static string Count(double count)
    {
        var (value, unit) = Scale(count, 1000, s_decimal.Length);
        return Digits(value, whole: unit == 0 && count == Math.Floor(count)) + s_decimal[unit];
    }

    /// <summary><c>0.34 s</c>, <c>2.0 s</c>, <c>12.1 s</c>, <c>2:05</c>, <c>1:02:03</c>.</summary>
    public static string Time(TimeSpan time)
    {
        if (time.Ticks < 0) return "0 s";
        if (time.TotalSeconds < 59.95) return time.TotalSeconds < 0.995 ? $"{time.TotalSeconds:0.##} s" : $"{time.TotalSeconds:0.0} s";
        var clock = TimeSpan.FromSeconds(Math.Round(time.TotalSeconds));
        return clock.TotalHours < 1 ? $"{clock.Minutes}:{clock.Seconds:00}" : $"{(long)clock.TotalHours}:{clock.Minutes:00}:{clock.Seconds:00}";
    }

    /// <summary>Amount done or to do in its unit: <c>bytes</c> are scaled by 1024, the rest by 1000.</summary>
    public static string Of(double amount, string? unit) => unit switch
    {
        "bytes" => Bytes(amount),
        null => Count(amount),
        _ => $"{Count(amount)} {unit}",
    };

    private static (double Value, int Unit) Scale(double value, double step, int units)
    {
        var unit = 0;
        // 999.5 would print as 1000: go one unit up before it does.
        while (unit < units - 1 && Math.Abs(value) >= step * 0.9995)
        {
            value /= step;
            unit++;
        }
        return (value, unit);
    }

    private static string Digits(double value, bool whole) => whole ? $"{value:0}" : Math.Abs(value) switch
    {
        < 9.995 => $"{value:0.0#}",
        < 99.95 => $"{value:0.0}",
        _ => $"{value:0}",
    };
}
