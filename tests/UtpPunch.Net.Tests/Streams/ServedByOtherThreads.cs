namespace UtpPunch.Tests;

/// <summary>Synchronous reads and writes that wait while another thread serves their node, which must wake them.</summary>
public static class ServedByOtherThreads
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(5);

    [Fact("a blocked write is woken while another thread serves the node: by a reset, an abort, a dispose, a closing node, and by room")]
    public static async Task BlockedWrite()
    {
        await EndsAsync<UtpException>(pair => pair.Far.Abort(), UtpError.ConnectionReset);
        await EndsAsync<UtpException>(pair => pair.Near.Abort(), UtpError.Aborted);
        await EndsAsync<ObjectDisposedException>(pair => pair.Near.Dispose(), null);
        await EndsAsync<UtpException>(pair => _ = pair.Client.CloseAsync(TimeSpan.FromSeconds(5)).AsTask(), UtpError.NodeClosed);
        await EndsAsync<UtpException>(pair => pair.Client.Socket!.Dispose(), UtpError.InternalError);

        await using var room = await Pair.OpenAsync(SmallBuffers);
        var (serving, server) = await ServeAsync(room);
        var writing = await WriteAsync(room);
        await room.Far.ReadExactlyAsync(new byte[Much]).AsTask().WaitAsync(Soon);
        await writing.WaitAsync(Soon);
        server.Abort();
        await Check.ThrowsAsync<UtpException>(() => serving.WaitAsync(Soon));

        static async Task EndsAsync<TException>(Action<Pair> action, UtpError? error)
            where TException : Exception
        {
            await using var pair = await Pair.OpenAsync(SmallBuffers);
            var (serving, server) = await ServeAsync(pair);
            var writing = await WriteAsync(pair);
            action(pair);
            var thrown = await Check.ThrowsAsync<TException>(() => writing.WaitAsync(Soon));
            Check.Equal(error, (thrown as UtpException)?.Error);
            server.Abort();
            await Check.ThrowsAsync<UtpException>(() => serving.WaitAsync(Soon));
        }
    }

    [Fact("a blocked read is woken while another thread serves the node: by bytes, the end, a reset, an abort and a dispose")]
    public static async Task BlockedRead()
    {
        await using var pair = await Pair.OpenAsync();
        var (serving, server) = await ServeAsync(pair);
        for (var value = 0; value < 10; value++)
        {
            var reading = Start(() => Check.Equal(value, pair.Near.ReadByte()));
            await pair.Far.WriteAsync(new[] { (byte)value }).Within();
            await reading.WaitAsync(Soon);
        }

        var ending = Start(() => Check.Equal(-1, pair.Near.ReadByte()));
        pair.Far.CompleteWrites();
        await ending.WaitAsync(Soon);
        server.Abort();
        await Check.ThrowsAsync<UtpException>(() => serving.WaitAsync(Soon));

        await EndsAsync<UtpException>(pair => pair.Far.Abort(), UtpError.ConnectionReset);
        await EndsAsync<UtpException>(pair => pair.Near.Abort(), UtpError.Aborted);
        await EndsAsync<ObjectDisposedException>(pair => pair.Near.Dispose(), null);

        static async Task EndsAsync<TException>(Action<Pair> action, UtpError? error)
            where TException : Exception
        {
            await using var pair = await Pair.OpenAsync();
            var (serving, server) = await ServeAsync(pair);
            var reading = Start(() => pair.Near.ReadByte());
            action(pair);
            var thrown = await Check.ThrowsAsync<TException>(() => reading.WaitAsync(Soon));
            Check.Equal(error, (thrown as UtpException)?.Error);
            server.Abort();
            await Check.ThrowsAsync<UtpException>(() => serving.WaitAsync(Soon));
        }
    }

    [Fact("time-outs of synchronous reads and writes hold while another thread serves the node")]
    public static async Task TimeOuts()
    {
        await using var pair = await Pair.OpenAsync(SmallBuffers);
        var (serving, server) = await ServeAsync(pair);
        pair.Near.ReadTimeout = pair.Near.WriteTimeout = 200;
        var begun = Clock.Now;
        var error = await Check.ThrowsAsync<UtpException>(() => Start(() => pair.Near.ReadByte()).WaitAsync(Soon));
        Check.Equal(UtpError.OperationTimeout, error.Error);
        Check.That(Clock.Now - begun is >= 200_000 and < 1_500_000, $"the read gave up after {Clock.Now - begun} µs");
        begun = Clock.Now;
        error = await Check.ThrowsAsync<UtpException>(() => Start(() => pair.Near.Write(new byte[Much])).WaitAsync(Soon));
        Check.Equal(UtpError.OperationTimeout, error.Error);
        Check.That(Clock.Now - begun is >= 200_000 and < 1_500_000, $"the write gave up after {Clock.Now - begun} µs");
        server.Abort();
        await Check.ThrowsAsync<UtpException>(() => serving.WaitAsync(Soon));
    }

    private const int Much = 1_000_000;

    private static void SmallBuffers(UtpNodeOptions options)
    {
        options.SendBufferSize = options.ReceiveBufferSize = 64 * 1024;
        options.LingerTimeout = TimeSpan.FromMinutes(1); // The end of it would wake a writer, too.
    }

    /// <summary>A thread that waits for another stream of the client, and so serves the client; and that stream.</summary>
    private static async Task<(Task Serving, UtpStream Stream)> ServeAsync(Pair pair)
    {
        var accepting = pair.Listener.AcceptAsync().AsTask();
        var other = await pair.Client.ConnectAsync(pair.Server.LocalEndPoint).Within();
        await accepting.Within();
        var serving = Start(() => other.ReadByte());
        await Waiting.UntilAsync(() => pair.Client.Engine.IsCallerDriven);
        return (serving, other);
    }

    /// <summary>A write of more than there is room for, once the buffers are full and nothing is in flight whose acknowledgement would wake it.</summary>
    private static async Task<Task> WriteAsync(Pair pair)
    {
        var writing = Start(() => pair.Near.Write(new byte[Much]));
        await Waiting.UntilAsync(() => pair.Near.GetStatistics() is { BytesAcknowledged: > 60_000, BytesInFlight: 0 });
        return writing;
    }

    private static Task Start(Action action) =>
        Task.Factory.StartNew(action, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
}
