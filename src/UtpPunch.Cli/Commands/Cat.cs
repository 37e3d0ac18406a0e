namespace UtpPunch.Cli;

/// <summary>
/// `utp cat`: copies standard input into one stream, and the stream to standard output, both at the speed of the slower side. It succeeds
/// only when both directions have ended in good order and the peer has acknowledged every byte.
/// </summary>
internal static class Cat
{
    private const int BufferSize = 256 * 1024;

    public static async Task<int> RunAsync(CatOptions options)
    {
        using var interruption = new Interruption();
        using var announcement = interruption.Finish.Register(
            () => ErrorOutput.Write("interrupted; what was read is still sent (interrupt again to stop at once)"));
        try
        {
            await using var node = await BindAsync(options);
            using var stopping = interruption.Stop.Register(node.Dispose);
            var stream = await OpenAsync(node, options, interruption.Finish);
            await CopyAsync(stream, interruption);
        }
        catch (Exception) when (interruption.ExitCode is not null)
        {
            // It has been announced.
        }

        return interruption.ExitCode ?? ExitCodes.Success;
    }

    private static Task<UtpNode> BindAsync(CatOptions options)
    {
        var settings = new UtpNodeOptions { Dialect = options.Dialect };
        settings.ConnectTimeout = options.ConnectTimeout ?? settings.ConnectTimeout;
        settings.GiveUpTimeout = options.Timeout ?? settings.GiveUpTimeout;
        settings.IdleTimeout = options.Timeout ?? settings.IdleTimeout;
        return Nodes.BindAsync(settings, options.Bind);
    }

    private static async Task<UtpStream> OpenAsync(UtpNode node, CatOptions options, CancellationToken interrupted)
    {
        if (options.Meeting is { } place)
        {
            return await new RendezvousClient(node, place.Server).ConnectAsync(place.Room, place.ToOptions(options.ConnectTimeout), interrupted);
        }

        if (options.Peer is { } peer)
        {
            return await node.ConnectAsync(peer, null, interrupted);
        }

        await using var listener = node.Listen(new UtpListenOptions { Backlog = 1 });
        await Console.Error.WriteLineAsync($"listening on {node.LocalEndPoint}");
        return await listener.AcceptAsync(interrupted);
    }

    private static async Task CopyAsync(UtpStream stream, Interruption interruption)
    {
        var receiving = ReceiveAsync(stream);
        var sending = SendAsync(stream, interruption.Finish);
        try
        {
            // The stream may break off while standard input is waited for, and that wait cannot be cancelled. So what fails first counts.
            await foreach (var part in Task.WhenEach(receiving, sending, stream.Closed).WithCancellation(interruption.Stop))
            {
                await part;
            }
        }
        catch (UtpException)
        {
            // What had come before is still written.
            await receiving.WaitAsync(interruption.Stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            throw;
        }
        catch
        {
            stream.Abort();                                 // the peer must not take this for an end
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
            catch (IOException error)
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

    /// <summary>Reads from standard input; an interruption is its end. The read cannot be cancelled, so it is left behind.</summary>
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
