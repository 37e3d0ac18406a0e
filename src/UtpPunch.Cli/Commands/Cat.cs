using System.Diagnostics;

namespace UtpPunch.Cli;

/// <summary>
/// `utp cat`: copies standard input to one stream, and the stream to standard output, each at the speed of its slower side. It succeeds
/// only if both directions ended in order and the peer acknowledged every byte.
/// </summary>
internal static class Cat
{
    private const int BufferSize = 256 * 1024;

    public static async Task<int> RunAsync(CatOptions options)
    {
        using var interruption = new Interruption();
        var isOpen = false;
        using var announcement = interruption.Finish.Register(() => ErrorOutput.Write(
            Volatile.Read(ref isOpen) ? "interrupted; sending what was read (interrupt again to stop at once)" : "interrupted"));
        try
        {
            await using var trace = TraceFile.Create(options.Node.Trace);
            await using var node = await BindAsync(options, trace);
            using var stopping = interruption.Stop.Register(node.Dispose);
            var stream = await OpenAsync(node, options, interruption.Finish);
            Volatile.Write(ref isOpen, true);
            await CopyAsync(stream, interruption, options);
        }
        catch (Exception) when (interruption.ExitCode is not null)
        {
            // The message was written when the signal came.
        }

        return interruption.ExitCode ?? ExitCodes.Success;
    }

    private static Task<UtpNode> BindAsync(CatOptions options, TraceFile? trace)
    {
        var settings = new UtpNodeOptions { Dialect = options.Dialect };
        settings.CongestionControl = options.CongestionControl ?? settings.CongestionControl;
        settings.ConnectTimeout = options.ConnectTimeout ?? settings.ConnectTimeout;
        settings.AcknowledgementTimeout = options.Timeout ?? settings.AcknowledgementTimeout;
        settings.IdleTimeout = options.Timeout ?? settings.IdleTimeout;
        return Nodes.BindAsync(settings, options.Node, trace);
    }

    private static async Task<UtpStream> OpenAsync(UtpNode node, CatOptions options, CancellationToken interrupted)
    {
        if (options.Meeting is { } place)
        {
            return await MeetAsync(node, place, options, interrupted);
        }

        if (options.Peer is { } peer)
        {
            return await node.ConnectAsync(peer, null, interrupted);
        }

        await using var listener = node.Listen(new UtpListenOptions { Backlog = 1 });
        await Console.Error.WriteLineAsync($"listening on {node.LocalEndPoint}");
        return await listener.AcceptAsync(interrupted);
    }

    private static async Task<UtpStream> MeetAsync(UtpNode node, MeetingPlace place, CatOptions options, CancellationToken interrupted)
    {
        var progress = options.Node.IsVerbose ? new MeetLog() : null;
        var punch = await new UtpRendezvousClient(node, place.Servers)
            .PunchAsync(place.Room, place.ToOptions(options.ConnectTimeout, progress), interrupted);
        return punch.Success
            ? await punch.Path.OpenAsync(interrupted)
            : throw new ToolException(ExitCodes.Of(punch.Stage), punch.Explanation);
    }

    private static async Task CopyAsync(UtpStream stream, Interruption interruption, CatOptions options)
    {
        var started = Stopwatch.GetTimestamp();
        try
        {
            await CopyAsync(stream, interruption);
        }
        finally
        {
            if (options.ShowsStatistics)
            {
                StreamReport.Write(stream, Stopwatch.GetElapsedTime(started), options.IsJson);
            }
        }
    }

    private static async Task CopyAsync(UtpStream stream, Interruption interruption)
    {
        var receiving = ReceiveAsync(stream);
        var sending = SendAsync(stream, interruption.Finish);
        try
        {
            // The stream may fail during a read of standard input, which cannot be cancelled. So the first failure ends the copy.
            await foreach (var part in Task.WhenEach(receiving, sending, stream.Closed).WithCancellation(interruption.Stop))
            {
                await part;
            }
        }
        catch (UtpException)
        {
            // What was received before the failure is still written.
            await receiving.WaitAsync(interruption.Stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            throw;
        }
        catch
        {
            stream.Abort();                                 // the peer must not see a clean end
            throw;
        }
    }

    private static async Task ReceiveAsync(UtpStream stream)
    {
        await using var output = StandardStreams.OpenOutput();
        var buffer = new byte[BufferSize];
        while (await stream.ReadAsync(buffer) is > 0 and var count)
        {
            try
            {
                await output.WriteAsync(buffer.AsMemory(0, count));
            }
            catch (IOException error) when (!StandardStreams.IsBrokenPipe(error))
            {
                throw new ToolException(ExitCodes.Failure, $"standard output cannot be written: {error.Message}", error);
            }
        }
    }

    private static async Task SendAsync(UtpStream stream, CancellationToken interrupted)
    {
        await Task.Yield();                                 // a read from a terminal blocks
        await using var input = StandardStreams.OpenInput();
        var buffer = new byte[BufferSize];
        while (await ReadAsync(input, buffer, interrupted) is > 0 and var count)
        {
            await stream.WriteAsync(buffer.AsMemory(0, count), CancellationToken.None);
        }

        stream.CompleteWrites();
    }

    /// <summary>Reads from standard input; an interruption ends it. The read itself cannot be cancelled and stays pending.</summary>
    private static async Task<int> ReadAsync(Stream input, Memory<byte> buffer, CancellationToken interrupted)
    {
        try
        {
            return await Task.Run(() => input.Read(buffer.Span), CancellationToken.None).WaitAsync(interrupted);
        }
        catch (OperationCanceledException)
        {
            return 0;
        }
        catch (IOException error)
        {
            throw new ToolException(ExitCodes.Failure, $"standard input cannot be read: {error.Message}", error);
        }
    }
}
