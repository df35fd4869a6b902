using Aisle.Commands;

// The commands, in the order a new user meets them. Each is one file that reads its arguments, calls one thing and prints.
return await CommandLine.RunAsync(
[
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
    DeployCommand.Create(),
    UndeployCommand.Create(),
    AskCommand.Create(),
], args);
