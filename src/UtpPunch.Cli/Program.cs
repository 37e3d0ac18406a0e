// The tool `utp`. Data goes to standard output, everything else to standard error, where a failure is one line. ExitCodes.cs has the codes.

using System.CommandLine;
using UtpPunch.Cli;

try
{
    StandardStreams.ReplaceMissing();
    var configuration = new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null };
    return await CommandLine.Parse(ToolCommands.Create(), args).InvokeAsync(configuration);
}
catch (Exception error) when (StandardStreams.IsBrokenPipe(error))
{
    return ExitCodes.BrokenPipe;
}
catch (Exception error)
{
    ErrorOutput.Write(error is ToolException or IOException ? error.Message : $"{error.GetType().Name}: {error.Message}");
    return ExitCodes.Of(error);
}
