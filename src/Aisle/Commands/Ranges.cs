using System.CommandLine;

namespace Aisle.Commands;

/// <summary>Ranges of what is typed, refused while parsing so that every fault is told at once.</summary>
internal static class Ranges
{
    public static Argument<int> AtLeast(this Argument<int> argument, int least)
    {
        argument.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: var text }] && int.TryParse(text, out var value) && value < least) result.AddError($"{argument.Name} is {value}; it must be at least {least}.");
        });
        return argument;
    }

    public static Option<int?> AtLeast(this Option<int?> option, int least)
    {
        option.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: var text }] && int.TryParse(text, out var value) && value < least) result.AddError($"{option.Name} is {value}; it must be at least {least}.");
        });
        return option;
    }
}
