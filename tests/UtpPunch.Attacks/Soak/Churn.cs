using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using UtpPunch.Attacks.Hosts;

namespace UtpPunch.Attacks.Soak;

/// <summary>What applications do with streams for hours, in one process: opened, used, and ended in all ways.</summary>
/// <remarks>
/// A stream begins with eight bytes: how many bytes are asked for. The acceptor answers with as many of the pattern; then the opener sends
/// as many, and the acceptor checks them.
/// </remarks>
internal sealed class Churn(Action<Exception> note) : IDisposable
{
    private const int Block = 32 << 10;
    private const double LongestBytes = 4 << 20;

    // What a peer that is killed, stopped or flooded may cause, and what an abort here does. Anything else is not expected.
    private static readonly UtpError[] s_expected =
    [
        UtpError.ConnectTimeout, UtpError.ConnectionRefused, UtpError.ConnectionReset, UtpError.AcknowledgementTimeout, UtpError.IdleTimeout,
        UtpError.Aborted,
    ];

    private readonly CancellationTokenSource _end = new();
    private IPEndPoint? _peer;
    private long _opened;
    private long _accepted;
    private long _bytes;
    private long _wrong;
    private long _failed;

    public string Words => string.Create(
        CultureInfo.InvariantCulture, $"opened={_opened} served={_accepted} moved={_bytes} bad={_wrong} failures={_failed}");

    public void Dispose() => _end.Dispose();

    /// <summary>Opens streams to a peer, each worker one after the other. Another call changes the peer.</summary>
    public void Open(UtpNode node, IPEndPoint peer, int workers, int seed)
    {
        var isFirst = _peer is null;
        _peer = peer;
        for (var i = 0; isFirst && i < workers; i++)
        {
            var random = new Random(seed + i);
            _ = Task.Run(async () =>
            {
                while (!_end.IsCancellationRequested)
                {
                    await ExpectAsync(() => UseAsync(node, random));
                    await Task.Delay(random.Next(200));
                }
            });
        }
    }

    /// <summary>No further streams are opened.</summary>
    public void Stop() => _end.Cancel();

    /// <summary>Serves a stream that was accepted.</summary>
    public Task ServeAsync(UtpStream stream) => ExpectAsync(async () =>
    {
        Interlocked.Increment(ref _accepted);
        await using (stream)
        {
            var length = new byte[8];
            await stream.ReadExactlyAsync(length);
            var bytes = BinaryPrimitives.ReadInt64BigEndian(length);
            await WriteAsync(stream, bytes);
            await ReadAsync(stream, bytes);
        }
    });

    private async Task UseAsync(UtpNode node, Random random)
    {
        await using var stream = await node.ConnectAsync(_peer!);
        Interlocked.Increment(ref _opened);
        var bytes = (long)Math.Exp(random.NextDouble() * Math.Log(LongestBytes));
        var length = new byte[8];
        BinaryPrimitives.WriteInt64BigEndian(length, bytes);
        await stream.WriteAsync(length);
        switch (random.Next(10))
        {
            case 0:
                await ReadAsync(stream, bytes / 2);
                stream.Abort();
                break;
            case 1:
                await ReadAsync(stream, bytes / 2);             // disposed with data that is not read
                break;
            case 2:
                await ReadAsync(stream, bytes);
                await WriteAsync(stream, bytes / 2);            // the acceptor sees the end too early
                break;
            default:
                await ReadAsync(stream, bytes);
                await WriteAsync(stream, bytes);
                stream.CompleteWrites();
                await ReadEndAsync(stream);
                break;
        }
    }

    private static async Task WriteAsync(UtpStream stream, long bytes)
    {
        var buffer = new byte[Block];
        for (long offset = 0; offset < bytes; offset += Block)
        {
            var count = (int)Math.Min(Block, bytes - offset);
            Pattern.Fill(buffer.AsSpan(0, count), offset);
            await stream.WriteAsync(buffer.AsMemory(0, count));
        }
    }

    private async Task ReadAsync(UtpStream stream, long bytes)
    {
        var buffer = new byte[Block];
        for (long offset = 0; offset < bytes;)
        {
            var count = await stream.ReadAsync(buffer.AsMemory(0, (int)Math.Min(Block, bytes - offset)));
            if (count == 0)
            {
                throw new EndOfStreamException();
            }

            Interlocked.Add(ref _wrong, Pattern.CountWrong(buffer.AsSpan(0, count), offset));
            Interlocked.Add(ref _bytes, count);
            offset += count;
        }
    }

    private async Task ReadEndAsync(UtpStream stream) =>
        Interlocked.Add(ref _wrong, await stream.ReadAsync(new byte[1]));

    private async Task ExpectAsync(Func<Task> work)
    {
        try
        {
            await work();
        }
        catch (Exception e) when (e is EndOfStreamException || (e is UtpException { Error: var error } && s_expected.Contains(error)))
        {
            Interlocked.Increment(ref _failed);
        }
        catch (Exception e)
        {
            note(e);
        }
    }
}
