namespace UtpPunch.Cli;

/// <summary>A few bytes each way, after which both sides know that streams work over a path.</summary>
internal static class Greeting
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan Farewell = TimeSpan.FromSeconds(5);

    private static ReadOnlySpan<byte> Words => "utp punch: hello\n"u8;

    /// <summary>Opens the stream, and closes it. Its use is proved when our greeting is acknowledged and the peer's has come.</summary>
    /// <exception cref="UtpException">There was no stream, or it broke off.</exception>
    /// <exception cref="InvalidDataException">Something else than a greeting came.</exception>
    public static async Task ExchangeAsync(UtpNode node, PunchResult path, Action proved, CancellationToken interrupted)
    {
        await using var stream = await node.OpenAsync(path, interrupted);
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
                throw new InvalidDataException("The peer says something else than a greeting.");
            }
        }
        catch (EndOfStreamException error)
        {
            throw new InvalidDataException("The peer ended the stream without a greeting.", error);
        }
        catch (OperationCanceledException error) when (!interrupted.IsCancellationRequested)
        {
            throw new InvalidDataException($"No greeting went both ways within {Timeout.TotalSeconds} seconds.", error);
        }

        proved();
        stream.CompleteWrites();

        // The peer may still miss our acknowledgement. When it is gone already, nothing is lost.
        await stream.Closed.WaitAsync(Farewell, interrupted).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }
}
