namespace UtpPunch.Cli;

/// <summary>Exchanges a few bytes, after which both sides know that streams work over a path.</summary>
internal static class Greeting
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan Farewell = TimeSpan.FromSeconds(5);

    private static ReadOnlySpan<byte> Words => "utp punch: hello\n"u8;

    /// <summary>Opens and closes a stream. <paramref name="proved"/> is called when our greeting is acknowledged and the peer's has arrived.</summary>
    /// <exception cref="UtpException">The stream could not be opened, or it failed.</exception>
    /// <exception cref="InvalidDataException">The peer sent something else than a greeting, or nothing in time.</exception>
    public static async Task ExchangeAsync(UtpPunchedPath path, Action proved, CancellationToken interrupted)
    {
        await using var stream = await path.OpenAsync(interrupted);
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(interrupted);
        timeout.CancelAfter(Timeout);
        try
        {
            var heard = new byte[Words.Length];
            await stream.WriteAsync(Words.ToArray(), timeout.Token);
            await stream.ReadExactlyAsync(heard, timeout.Token);
            await stream.DrainAsync(timeout.Token);
            if (!Words.SequenceEqual(heard))
            {
                throw new InvalidDataException("The peer sent something else than a greeting.");
            }
        }
        catch (EndOfStreamException error)
        {
            throw new InvalidDataException("The peer ended the stream without a greeting.", error);
        }
        catch (OperationCanceledException error) when (!interrupted.IsCancellationRequested)
        {
            throw new InvalidDataException($"The greeting took longer than {Timeout.TotalSeconds} seconds.", error);
        }

        proved();
        stream.CompleteWrites();

        // The peer may still wait for our last acknowledgement. If it has gone already, nothing is lost.
        await stream.Closed.WaitAsync(Farewell, interrupted).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }
}
