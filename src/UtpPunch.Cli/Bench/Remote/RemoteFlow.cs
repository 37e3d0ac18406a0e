using System.Diagnostics;

namespace UtpPunch.Cli.Bench;

/// <summary>Bulk data of one direction between two machines.</summary>
internal static class RemoteFlow
{
    /// <summary>Writes for this time, then ends the direction.</summary>
    public static async Task<long> WriteAsync(UtpStream stream, TimeSpan time, CancellationToken cancellationToken)
    {
        var started = Stopwatch.GetTimestamp();
        var written = 0L;
        while (Stopwatch.GetElapsedTime(started) < time)
        {
            await stream.WriteAsync(Pattern.Block, cancellationToken);
            written += Pattern.BlockSize;
        }

        stream.CompleteWrites();
        return written;
    }

    /// <summary>Reads to the end; the number of bytes, and the time from the first byte to the last.</summary>
    public static async Task<(long Bytes, TimeSpan Time)> ReadAsync(UtpStream stream, CancellationToken cancellationToken)
    {
        var buffer = new byte[Pattern.BlockSize];
        var bytes = 0L;
        var started = 0L;
        while (await stream.ReadAsync(buffer, cancellationToken) is > 0 and var read)
        {
            started = started == 0 ? Stopwatch.GetTimestamp() : started;
            Pattern.Check(bytes, buffer.AsSpan(0, read));
            bytes += read;
        }

        return (bytes, started == 0 ? TimeSpan.Zero : Stopwatch.GetElapsedTime(started));
    }
}
