namespace UtpPunch.Tests;

/// <summary>Streams that an application aborts with an error code.</summary>
public static class ErrorCodes
{
    [Fact("the error code of an abort is that of the peer's exceptions")]
    public static async Task CodeArrives()
    {
        foreach (var code in new[] { 0L, 42, uint.MaxValue })
        {
            await using var pair = await Pair.OpenAsync();
            var reading = pair.Far.ReadAsync(new byte[1]).AsTask();
            pair.Near.Abort(code);
            var failures = new List<UtpException>
            {
                await Check.ThrowsAsync<UtpException>(() => reading.Within()),
                await Check.ThrowsAsync<UtpException>(() => pair.Far.WriteAsync(new byte[1]).Within()),
                await Check.ThrowsAsync<UtpException>(() => pair.Far.Closed.Within()),
            };
            foreach (var failure in failures)
            {
                Check.Equal(UtpError.ConnectionReset, failure.Error);
                Check.Equal(code, failure.ApplicationErrorCode);
                Check.That(failure.Message.Contains($"with the error code {code}", StringComparison.Ordinal), failure.Message);
            }

            // This side knows what it has done.
            var own = await Check.ThrowsAsync<UtpException>(() => pair.Near.ReadAsync(new byte[1]).Within());
            Check.Equal(UtpError.Aborted, own.Error);
            Check.Equal(null, own.ApplicationErrorCode);
        }
    }

    [Fact("an abort without a code has none at the peer, and the first of several aborts counts")]
    public static async Task FirstAbortCounts()
    {
        await using var plain = await Pair.OpenAsync();
        plain.Near.Abort();
        plain.Near.Abort(7);
        var failure = await Check.ThrowsAsync<UtpException>(() => plain.Far.ReadAsync(new byte[1]).Within());
        Check.Equal(UtpError.ConnectionReset, failure.Error);
        Check.Equal(null, failure.ApplicationErrorCode);

        await using var coded = await Pair.OpenAsync();
        coded.Far.Abort(7);
        coded.Far.Abort(8);
        coded.Far.Abort();
        failure = await Check.ThrowsAsync<UtpException>(() => coded.Near.ReadAsync(new byte[1]).Within());
        Check.Equal(7L, failure.ApplicationErrorCode);
    }

    [Fact("what was written before an abort with a code may be lost, and what arrived is not read any more")]
    public static async Task AbortDiscards()
    {
        await using var pair = await Pair.OpenAsync();
        await pair.Near.WriteAsync(new byte[100]).Within();
        await pair.Near.DrainAsync().Within();
        pair.Near.Abort(5);
        var failure = await Check.ThrowsAsync<UtpException>(async () =>
        {
            var left = 100;
            while (left >= 0)
            {
                left -= await pair.Far.ReadAsync(new byte[100]).Within();
            }
        });
        Check.Equal(5L, failure.ApplicationErrorCode);
    }

    [Fact("in the npm package's dialect there are no codes")]
    public static async Task NoCodeInOtherDialect()
    {
        await using var server = await Pair.BindAsync(options => options.Dialect = UtpDialect.Npm);
        await using var client = await Pair.BindAsync(options => options.Dialect = UtpDialect.Npm);
        await using var listener = server.Listen();
        var near = await client.ConnectAsync(server.LocalEndPoint).Within();
        await near.WriteAsync(new byte[1]).Within();
        var far = await listener.AcceptAsync().Within();
        near.Abort(9);
        var failure = await Check.ThrowsAsync<UtpException>(async () =>
        {
            while (await far.ReadAsync(new byte[1]).Within() > 0)
            {
            }
        });
        Check.Equal(UtpError.ConnectionReset, failure.Error);
        Check.Equal(null, failure.ApplicationErrorCode);
    }

    [Fact("codes that do not fit in 32 bits are refused")]
    public static async Task Range()
    {
        await using var pair = await Pair.OpenAsync();
        Check.Equal("errorCode", Check.Throws<ArgumentOutOfRangeException>(() => pair.Near.Abort(-1)).ParamName);
        Check.Equal("errorCode", Check.Throws<ArgumentOutOfRangeException>(() => pair.Near.Abort(1L << 32)).ParamName);
        await pair.Near.WriteAsync(new byte[1]).Within();
        Check.Equal(1, await pair.Far.ReadAsync(new byte[1]).Within());
    }
}
