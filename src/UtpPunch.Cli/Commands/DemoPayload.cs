using System.Diagnostics;
using System.Security.Cryptography;

namespace UtpPunch.Cli;

/// <summary>
/// The bytes that go one way in the demo. They are generated before the clock starts and hashed after it has stopped, so that only the
/// transfer is timed.
/// </summary>
internal sealed class DemoPayload
{
    private const int Mebibyte = 1 << 20;
    private const int ChunkSize = 256 * 1024;
    private readonly byte[] _bytes;

    private DemoPayload(byte[] bytes, TimeSpan time)
    {
        _bytes = bytes;
        Time = time;
        Sha256 = Convert.ToHexStringLower(SHA256.HashData(bytes));
    }

    public string Sha256 { get; }

    /// <summary>How long it took to come, from the first byte to the end.</summary>
    public TimeSpan Time { get; }

    public static DemoPayload Random(int mebibytes) => new(RandomNumberGenerator.GetBytes(mebibytes * Mebibyte), TimeSpan.Zero);

    /// <summary>Writes all of it.</summary>
    public async Task SendAsync(Stream stream, Action<double> progress, CancellationToken cancellationToken)
    {
        for (var sent = 0; sent < _bytes.Length;)
        {
            var chunk = _bytes.AsMemory(sent, Math.Min(ChunkSize, _bytes.Length - sent));
            await stream.WriteAsync(chunk, cancellationToken);
            sent += chunk.Length;
            progress((double)sent / _bytes.Length);
        }
    }

    /// <summary>Reads to the end.</summary>
    public static async Task<DemoPayload> ReceiveAsync(Stream stream, int mebibytes, Action<double> progress, CancellationToken cancellationToken)
    {
        var bytes = new byte[(mebibytes * Mebibyte) + 1];           // one more than expected, to notice a surplus
        var received = await stream.ReadAsync(bytes, cancellationToken);
        var started = Stopwatch.GetTimestamp();
        for (var count = received; count > 0; received += count)
        {
            progress((double)received / (bytes.Length - 1));
            count = await stream.ReadAsync(bytes.AsMemory(received, Math.Min(ChunkSize, bytes.Length - received)), cancellationToken);
        }

        return new DemoPayload(bytes[..received], Stopwatch.GetElapsedTime(started));
    }
}
