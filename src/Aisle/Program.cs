using System.CommandLine;
using Aisle.Commands;
using Aisle.Quickstart;

return await CommandLine.RunAsync(Commands(), args);

/// <summary>The table of contents, in the order a new user meets the commands. Each is one file that reads its arguments, calls one thing and prints.</summary>
internal static partial class Program
{
    internal static Command[] Commands() =>
    [
        QuickstartCommand.Create(),
        UpCommand.Create(),
        NodeCommand.Create(),
        JobCommand.Create(),
        StatusCommand.Create(),
        NodesCommand.Create(),
        JobsCommand.Create(),
        PutCommand.Create(),
        GetCommand.Create(),
        LsCommand.Create(),
        ShowCommand.Create(),
        HistoryCommand.Create(),
        TagCommand.Create(),
        RmCommand.Create(),
        RunCommand.Create(),
        LogsCommand.Create(),
        CancelCommand.Create(),
        ScaleCommand.Create(),
        LineageCommand.Create(),
        VerifyCommand.Create(),
        BisectCommand.Create(),
        TraceCommand.Create(),
        StragglersCommand.Create(),
        TensorBoardCommand.Create(),
        DeployCommand.Create(),
        UndeployCommand.Create(),
        AskCommand.Create(),
        LaunchCommand.Create(),
        DoctorCommand.Create(),
    ];
}
