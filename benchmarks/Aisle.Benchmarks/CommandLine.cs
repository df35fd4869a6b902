using System.Globalization;

namespace Aisle.Benchmarks;

/// <summary><c>./bench [NAME] [--json] [--small] [--case TEXT]</c>: results to standard output, talk to standard error.</summary>
internal static class CommandLine
{
    private const int Done = 0;
    private const int Failed = 1;
    private const int WrongUsage = 2;

    public static async Task<int> RunAsync(string[] arguments)
    {
        string? wanted = null;
        if (Array.IndexOf(arguments, "--case") is >= 0 and var option)
        {
            if (option + 1 == arguments.Length) return Refuse("--case lacks its text.");
            wanted = arguments[option + 1];
            arguments = [.. arguments[..option], .. arguments[(option + 2)..]];
        }
        var names = arguments.Where(argument => !argument.StartsWith('-')).ToList();
        var unknown = arguments.FirstOrDefault(argument => argument.StartsWith('-') && argument is not ("--json" or "--small"));
        if (unknown is not null || names.Count > 1) return Refuse($"'{unknown ?? names[1]}' is not understood.");
        if (names is not [var name])
        {
            foreach (var known in Benchmark.All) Console.WriteLine($"{known.Name,-10} {known.About}");
            return Done;
        }
        if (Benchmark.All.FirstOrDefault(known => known.Name == name) is not { } benchmark) return Refuse($"There is no benchmark '{name}'.");

        if (wanted is not null && benchmark.RunSome is null) return Refuse($"'{name}' always measures all its cases.");

        var (isJson, isSmall) = (arguments.Contains("--json"), arguments.Contains("--small"));
        if (!isJson) Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{"case",-24} {"unit",-10} {"ours",10} {"peer",10} {"ratio",7}   peer"));
        try
        {
            await foreach (var result in wanted is null ? benchmark.Run(isSmall) : benchmark.RunSome!(isSmall, wanted))
            {
                Console.WriteLine(isJson ? result.ToJson() : string.Create(
                    CultureInfo.InvariantCulture, $"{result.Case,-24} {result.Unit,-10} {result.Ours,10} {Shown(result.Peer),10} {Shown(result.Ratio),7}   {result.PeerName}"));
            }
            return Done;
        }
        catch (BenchmarkFailedException e)
        {
            Console.Error.WriteLine(e.Message);
            return Failed;
        }
    }

    private static string Shown(double? value) => value?.ToString(CultureInfo.InvariantCulture) ?? "–";

    private static int Refuse(string what)
    {
        Console.Error.WriteLine($"{what} Usage: ./bench [NAME] [--json] [--small] [--case TEXT]; without NAME it lists the benchmarks.");
        return WrongUsage;
    }
}
