using System.Diagnostics;

namespace UtpPunch.Tests;

/// <summary>Nodes whose instruments belong to the meters of a factory.</summary>
public static class MeterFactories
{
    private const int Length = 1_000_000;
    private const string Dialed = "utp.connections.active utp.role=dialer";
    private const string Accepted = "utp.connections.active utp.role=listener";
    private const string Sent = "utp.io network.io.direction=transmit";
    private const string Received = "utp.io network.io.direction=receive";

    [Fact("of two nodes with two factories each listener sees its own, and that of the process none")]
    public static async Task Isolated()
    {
        using var factory = new OwnMeters();
        using var otherFactory = new OwnMeters();
        using var meter = new MeterReader(factory);
        using var otherMeter = new MeterReader(otherFactory);
        using var shared = new MeterReader();
        var before = shared.Read().GetValueOrDefault(Received);
        await using (var node = await Pair.BindAsync(options => options.MeterFactory = factory))
        await using (var other = await Pair.BindAsync(options => options.MeterFactory = otherFactory))
        {
            await using var listener = other.Listen();
            await using var near = await node.ConnectAsync(other.LocalEndPoint).Within();
            await using var far = await listener.AcceptAsync().Within();
            var writing = near.WriteAsync(new byte[Length]).AsTask();
            await far.ReadExactlyAsync(new byte[Length]).Within();
            await writing.Within();
            var (mine, theirs) = (meter.Read(), otherMeter.Read());
            Check.Equal((1L, 0L, 0L, 1L), (mine[Dialed], mine[Accepted], theirs[Dialed], theirs[Accepted]));
            Check.Equal((0L, (long)Length), (mine[Received], theirs[Received]));
            Check.Equal((1, 0), (meter.Histogram("utp.connect.duration").Count(), otherMeter.Histogram("utp.connect.duration").Count()));
            near.Abort();
            await Check.ThrowsAsync<UtpException>(() => far.Closed.Within());
        }

        Check.Equal((long)Length, otherMeter.Read()[Received]);
        Check.Equal("utp.role=dialer error.type=Aborted", meter.Histogram("utp.connection.duration").Single().Tags);
        Check.Equal("utp.role=listener error.type=ConnectionReset", otherMeter.Histogram("utp.connection.duration").Single().Tags);
        Check.That(shared.Read().GetValueOrDefault(Received) - before < Length, "the process's meter has not counted them");
    }

    [Fact("nodes with one factory share a meter, which adds them up and has the library's version")]
    public static async Task Shared()
    {
        using var factory = new OwnMeters();
        using var meter = new MeterReader(factory);
        await using var pair = await Pair.OpenAsync(options => options.MeterFactory = factory);
        var values = meter.Read();
        Check.Equal((1L, 1L), (values[Dialed], values[Accepted]));
        Check.That(values.ContainsKey(Sent));
        var file = FileVersionInfo.GetVersionInfo(typeof(UtpNode).Assembly.Location);
        var version = factory.Meters.Single().Version!;
        Check.That(version.StartsWith($"{file.FileMajorPart}.{file.FileMinorPart}.{file.FileBuildPart}", StringComparison.Ordinal), version);
    }

    [Fact("nodes go on when the meter of their factory is disposed")]
    public static async Task Disposed()
    {
        using var factory = new OwnMeters();
        await using var pair = await Pair.OpenAsync(options => options.MeterFactory = factory);
        factory.Dispose();
        await pair.Near.WriteAsync(new byte[100], completeWrites: true).Within();
        Check.Equal(100, (await pair.Far.ReadToEndAsync()).Length);
        await pair.Far.CloseAsync().Within();
    }
}
