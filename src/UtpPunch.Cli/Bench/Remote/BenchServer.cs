using System.Buffers.Binary;
using System.Net;

namespace UtpPunch.Cli.Bench;

/// <summary>`utp bench --listen`: serves `utp bench HOST PORT`, one stream for each task.</summary>
internal static class BenchServer
{
    private static readonly TimeSpan LongestTask = TimeSpan.FromMinutes(2);

    public static async Task<int> RunAsync(IPEndPoint? bind)
    {
        using var interruption = new Interruption();
        await using var node = await Nodes.BindAsync(new UtpNodeOptions(), bind);
        await using var listener = node.Listen();
        await Console.Error.WriteLineAsync($"listening on {node.LocalEndPoint}");
        try
        {
            await foreach (var stream in listener.AcceptAllAsync(interruption.Finish))
            {
                _ = ServeAsync(stream, interruption.Finish);
            }
        }
        catch (OperationCanceledException)
        {
            // A signal ends the server.
        }

        return interruption.ExitCode ?? ExitCodes.Success;
    }

    private static async Task ServeAsync(UtpStream stream, CancellationToken interrupted)
    {
        await using var owned = stream;
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(interrupted);
        timeout.CancelAfter(LongestTask);
        try
        {
            var task = await RemoteTask.ReceiveAsync(stream, timeout.Token);
            await Console.Error.WriteLineAsync(TerminalText.Escape($"{stream.RemoteEndPoint}: {DescriptionOf(task)}"));
            switch (task)
            {
                case { Kind: 'u' }:
                    await ReceiveAsync(stream, timeout.Token);
                    break;
                case { Kind: 'd' }:
                    await RemoteFlow.WriteAsync(stream, task.Value.Time, timeout.Token);
                    break;
                case { Kind: 'p' }:
                    await EchoAsync(stream, timeout.Token);
                    break;
                default:
                    stream.Abort();
                    return;
            }

            await stream.Closed.WaitAsync(timeout.Token);
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or InvalidDataException)
        {
            await Console.Error.WriteLineAsync(TerminalText.Escape($"{stream.RemoteEndPoint}: {error.Message}"));
            stream.Abort();
        }
    }

    private static string DescriptionOf(RemoteTask? task) => task?.Kind switch
    {
        'u' => "sends",
        'd' => "receives",
        'p' => "plays ping-pong",
        _ => "is not a benchmark client",
    };

    /// <summary>Answers with the number of bytes and the time that they took.</summary>
    private static async Task ReceiveAsync(UtpStream stream, CancellationToken cancellationToken)
    {
        var (bytes, time) = await RemoteFlow.ReadAsync(stream, cancellationToken);
        var answer = new byte[16];
        BinaryPrimitives.WriteInt64BigEndian(answer, bytes);
        BinaryPrimitives.WriteInt64BigEndian(answer.AsSpan(8), time.Ticks);
        await stream.WriteAsync(answer, cancellationToken);
        stream.CompleteWrites();
    }

    private static async Task EchoAsync(UtpStream stream, CancellationToken cancellationToken)
    {
        var buffer = new byte[1];
        while (await stream.ReadAsync(buffer, cancellationToken) > 0)
        {
            await stream.WriteAsync(buffer, cancellationToken);
        }

        stream.CompleteWrites();
    }
}
