using System.Buffers;
using System.IO.Pipelines;

namespace UtpPunch.Cli.Bench;

/// <summary>One stream whose bytes are made where they are written, and looked at where they are read: through the methods of a stream with a
/// buffer of the caller's, through pipes over the stream, or through the stream's own pipes.</summary>
internal static class PipeRoles
{
    public const string ByStream = "by=stream";
    public const string OverStream = "by=over";
    public const string OwnPipes = "by=own";

    private const int Size = 64 * 1024;

    /// <summary>`protocol= by=`.</summary>
    public static async Task ReadAsync(PeerLink link, RoleArguments words)
    {
        await using var protocol = StreamProtocol.Of(words);
        var counts = new long[1];
        link.Count(() => [Volatile.Read(ref counts[0])]);
        link.Start();
        link.TellPort(protocol.Listen());
        await using var stream = await protocol.AcceptAsync(CancellationToken.None);
        if (PipesOf(stream, words) is { Reader: { } reader })
        {
            await ReadAsync(reader, counts);
        }
        else
        {
            await ReadAsync(stream, counts);
        }

        BulkRoles.TellDone(link, counts);
    }

    /// <summary>`protocol= by= port=`: writes as fast as it can until `stop`.</summary>
    public static async Task WriteAsync(PeerLink link, RoleArguments words)
    {
        await using var protocol = StreamProtocol.Of(words);
        var counts = new long[1];
        link.Count(() => [Volatile.Read(ref counts[0])]);
        link.Start();
        await using var stream = await protocol.DialAsync(StreamProtocol.TargetOf(words));
        link.Tell("started");
        if (PipesOf(stream, words) is { Writer: { } writer })
        {
            await WriteAsync(writer, counts, link.Stopped);
            await writer.CompleteAsync();
        }
        else
        {
            await WriteAsync(stream, counts, link.Stopped);
        }

        if (words["by"] != "own")
        {
            protocol.Finish(stream);
        }

        await ((stream as UtpStream)?.WritesClosed ?? Task.CompletedTask);
        BulkRoles.TellDone(link, counts);
    }

    private static (PipeReader? Reader, PipeWriter? Writer) PipesOf(Stream stream, RoleArguments words) => words["by"] switch
    {
        "own" => (((UtpStream)stream).Input, ((UtpStream)stream).Output),
        "over" => (
            PipeReader.Create(stream, new StreamPipeReaderOptions(bufferSize: Size, leaveOpen: true)),
            PipeWriter.Create(stream, new StreamPipeWriterOptions(minimumBufferSize: Size, leaveOpen: true))),
        _ => default,
    };

    private static async Task ReadAsync(Stream stream, long[] counts)
    {
        var buffer = new byte[Size];
        for (int count; (count = await stream.ReadAsync(buffer)) > 0;)
        {
            Pattern.Check(counts[0], buffer.AsSpan(0, count));
            Volatile.Write(ref counts[0], counts[0] + count);
        }
    }

    private static async Task ReadAsync(PipeReader reader, long[] counts)
    {
        while (true)
        {
            var result = await reader.ReadAsync();
            foreach (var segment in result.Buffer)
            {
                Pattern.Check(counts[0], segment.Span);
                Volatile.Write(ref counts[0], counts[0] + segment.Length);
            }

            reader.AdvanceTo(result.Buffer.End);
            if (result.IsCompleted)
            {
                return;
            }
        }
    }

    private static async Task WriteAsync(Stream stream, long[] counts, CancellationToken stopped)
    {
        var buffer = new byte[Size];
        while (!stopped.IsCancellationRequested)
        {
            var count = Make(counts[0], buffer);
            await stream.WriteAsync(buffer.AsMemory(0, count), CancellationToken.None);
            Volatile.Write(ref counts[0], counts[0] + count);
        }
    }

    private static async Task WriteAsync(PipeWriter writer, long[] counts, CancellationToken stopped)
    {
        while (!stopped.IsCancellationRequested)
        {
            var count = Make(counts[0], writer.GetSpan(Size / 2));
            writer.Advance(count);
            await writer.FlushAsync(CancellationToken.None);
            Volatile.Write(ref counts[0], counts[0] + count);
        }
    }

    // As a file would be read, or a message be encoded.
    private static int Make(long offset, Span<byte> target)
    {
        for (var made = 0; made < target.Length;)
        {
            var start = (int)((offset + made) % Pattern.BlockSize);
            var count = Math.Min(target.Length - made, Pattern.BlockSize - start);
            Pattern.Block.Span.Slice(start, count).CopyTo(target[made..]);
            made += count;
        }

        return target.Length;
    }
}
