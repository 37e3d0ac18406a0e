using System.Diagnostics;

namespace UtpPunch.Cli;

/// <summary>
/// `utp punch`: meets a peer, punches, and tests the path with a greeting each way over a stream. Progress and result go to standard output;
/// a failure is also a line on standard error.
/// </summary>
internal static class Punch
{
    public static async Task<int> RunAsync(PunchOptions options)
    {
        using var interruption = new Interruption();
        var report = new PunchReport(options.IsJson);
        try
        {
            await using var trace = TraceFile.Create(options.Node.Trace);
            await using var node = await Nodes.BindAsync(new UtpNodeOptions(), options.Node, trace);
            if (options.Meeting is { } place)
            {
                await MeetAsync(node, place, options.Timeout, report, interruption.Finish);
            }
            else
            {
                await PunchAsync(node, options, report, interruption.Finish);
            }

            return ExitCodes.Success;
        }
        catch (OperationCanceledException) when (interruption.ExitCode is { } code)
        {
            report.Failed(null, $"{UtpPunchStage.Cancelled}", "interrupted");
            ErrorOutput.Write("interrupted");
            return code;
        }
        catch (UtpException error)
        {
            report.Failed(null, $"{error.Error}", error.Message);
            throw;
        }
    }

    private static async Task MeetAsync(
        UtpNode node, MeetingPlace place, TimeSpan? timeout, PunchReport report, CancellationToken interrupted)
    {
        var client = new UtpRendezvousClient(node, place.Servers);
        var punch = await client.PunchAsync(place.Room, place.ToOptions(timeout, report), interrupted);
        if (!punch.Success)
        {
            report.Failed(punch, $"{punch.Stage}", punch.Explanation);
            throw new ToolException(ExitCodes.Of(punch.Stage), punch.Explanation);
        }

        report.Opened(punch);
        var started = Stopwatch.GetTimestamp();
        try
        {
            await Greeting.ExchangeAsync(punch.Path, () => report.Succeeded(punch, Stopwatch.GetElapsedTime(started)), interrupted);
        }
        catch (Exception error) when (error is UtpException or InvalidDataException)
        {
            report.Failed(punch, "Stream", error.Message);
            throw new ToolException(ExitCodes.PunchFailed, $"a path was found, but no stream could be opened over it: {error.Message}", error);
        }
    }

    /// <summary>Punches as the npm package does. It does not define which side dials, so no stream is opened.</summary>
    private static async Task PunchAsync(UtpNode node, PunchOptions options, PunchReport report, CancellationToken interrupted)
    {
        // The peer may need answers after this side has succeeded.
        var linger = TimeSpan.FromSeconds(10);
        var path = await node.PunchNpmAsync(options.Peer!, options.Attempts, interrupted);
        if (!path.Success)
        {
            report.Failed(path, $"{path.Stage}", path.Explanation);
            throw new ToolException(ExitCodes.Of(path.Stage), path.Explanation);
        }

        report.Opened(path);
        report.Succeeded(path, null);
        await Task.Delay(linger, interrupted).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }
}
