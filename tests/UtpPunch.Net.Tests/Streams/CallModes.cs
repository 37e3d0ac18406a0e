namespace UtpPunch.Tests;

/// <summary>A way in which .NET code reads from and writes to a stream.</summary>
internal sealed record CallMode(
    string Name,
    Func<Stream, byte[], int, int, Task<int>> Read,
    Func<Stream, byte[], int, int, Task> Write)
{
    /// <summary>All seven ways. Synchronous ones run on a thread of their own, since they block.</summary>
    public static IReadOnlyList<CallMode> All { get; } =
    [
        new("byte", ReadByte, WriteByte),
        new("span",
            (stream, buffer, offset, count) => Task.Run(() => stream.Read(buffer.AsSpan(offset, count))),
            (stream, buffer, offset, count) => Task.Run(() => stream.Write(buffer.AsSpan(offset, count)))),
        new("array",
            (stream, buffer, offset, count) => Task.Run(() => stream.Read(buffer, offset, count)),
            (stream, buffer, offset, count) => Task.Run(() => stream.Write(buffer, offset, count))),
        new("array, asynchronous",
            (stream, buffer, offset, count) => stream.ReadAsync(buffer, offset, count),
            (stream, buffer, offset, count) => stream.WriteAsync(buffer, offset, count)),
        new("memory, asynchronous",
            async (stream, buffer, offset, count) => await stream.ReadAsync(buffer.AsMemory(offset, count)),
            async (stream, buffer, offset, count) => await stream.WriteAsync(buffer.AsMemory(offset, count))),
        new("begin and end, waiting",
            (stream, buffer, offset, count) => Task.Run(() => stream.EndRead(stream.BeginRead(buffer, offset, count, null, null))),
            (stream, buffer, offset, count) => Task.Run(() => stream.EndWrite(stream.BeginWrite(buffer, offset, count, null, null)))),
        new("begin and end, called back",
            (stream, buffer, offset, count) =>
                Task.Factory.FromAsync(stream.BeginRead, stream.EndRead, buffer, offset, count, null),
            (stream, buffer, offset, count) =>
                Task.Factory.FromAsync(stream.BeginWrite, stream.EndWrite, buffer, offset, count, null)),
    ];

    /// <summary>Runs an action once for each way; a failure names the way.</summary>
    public static async Task EachAsync(Func<CallMode, Task> test)
    {
        foreach (var mode in All)
        {
            try
            {
                await test(mode);
            }
            catch (Exception error)
            {
                throw new InvalidOperationException($"By {mode.Name}: {error.Message}", error);
            }
        }
    }

    private static Task<int> ReadByte(Stream stream, byte[] buffer, int offset, int count) => Task.Run(() =>
    {
        if (count == 0)
        {
            return 0;
        }

        var value = stream.ReadByte();
        if (value < 0)
        {
            return 0;
        }

        buffer[offset] = (byte)value;
        return 1;
    });

    private static Task WriteByte(Stream stream, byte[] buffer, int offset, int count) => Task.Run(() =>
    {
        foreach (var value in buffer.AsSpan(offset, count))
        {
            stream.WriteByte(value);
        }
    });
}
