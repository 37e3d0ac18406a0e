using System.Diagnostics;
using SimPath = UtpPunch.Sim.Path;

namespace UtpPunch.Cli.Bench;

/// <summary>
/// Two hosts and the path between them. Every IP packet that a host sends comes out of its TUN device, passes one direction of the path, and
/// goes into the other host's device, so UDP and TCP take the same way. One thread does it.
/// </summary>
internal sealed class WanLink : IDisposable
{
    public const string SenderIp = "198.18.0.1";                // the network for benchmarks (RFC 2544)
    public const string ReceiverIp = "198.18.0.2";

    private const int Batch = 64;

    // Microseconds. While packets come, they are collected for this time: a wake-up for each would cost more than all the rest.
    private const long Grain = 200;
    private const long LongestWait = 20_000;

    private readonly int _near;
    private readonly int _far;
    private readonly WanPath _path;
    private readonly WanDirection _forward;
    private readonly WanDirection _back;
    private readonly Thread _thread;
    private SimPath? _change;
    private volatile bool _disposed;

    private WanLink(WanPath path, ulong seed, WanHost sender, WanHost receiver, int near, int far)
    {
        _path = path;
        (Sender, Receiver, _near, _far) = (sender, receiver, near, far);
        _forward = new WanDirection(path.Forward(), seed, near, far);
        _back = new WanDirection(path.Back(), seed, far, near);
        _thread = new Thread(Run) { IsBackground = true, Name = "link" };
        _thread.Start();
    }

    /// <summary>The host that sends the data.</summary>
    public WanHost Sender { get; }

    public WanHost Receiver { get; }

    /// <summary>What the direction of the data has measured.</summary>
    public LinkMeter Meter => _forward.Meter;

    /// <summary>Creates two hosts with new networks, so that no run sees what another one left.</summary>
    public static async Task<WanLink> CreateAsync(WanPath path, ulong seed, CancellationToken cancellationToken)
    {
        var (sender, receiver) = (new WanHost(), new WanHost());
        var near = -1;
        try
        {
            near = await sender.AttachAsync(SenderIp, ReceiverIp, cancellationToken);
            var far = await receiver.AttachAsync(ReceiverIp, SenderIp, cancellationToken);
            return new WanLink(path, seed, sender, receiver, near, far);
        }
        catch
        {
            Kernel.Close(near);
            sender.Dispose();
            receiver.Dispose();
            throw;
        }
    }

    /// <summary>Makes the direction of the data longer.</summary>
    public void Change(WanChange change) => Volatile.Write(ref _change, _path.Forward(change.LaterByMs));

    /// <summary>Throws if a packet was lost outside the path: between a host and this program.</summary>
    public void Check()
    {
        var dropped = Sender.DroppedPackets() + Receiver.DroppedPackets();
        if (dropped > 0)
        {
            throw new BenchException($"the hosts' devices dropped {dropped} packets: this machine is too busy");
        }
    }

    public void Dispose()
    {
        _disposed = true;
        _thread.Join();
        Kernel.Close(_near);
        Kernel.Close(_far);
        Sender.Dispose();
        Receiver.Dispose();
    }

    private void Run()
    {
        Kernel.BePunctual();
        var clock = Stopwatch.StartNew();
        while (!_disposed)
        {
            if (Interlocked.Exchange(ref _change, null) is { } changed)
            {
                _forward.Change(changed);
            }

            var isBusy = _forward.Take(Now(), Batch);
            isBusy |= _back.Take(Now(), Batch);
            _forward.Hand(Now());
            _back.Hand(Now());
            Rest(isBusy, Math.Min(_forward.Due, _back.Due) - Now());
        }

        long Now() => clock.ElapsedTicks / (Stopwatch.Frequency / 1_000_000);
    }

    private void Rest(bool isBusy, long untilDue)
    {
        if (isBusy)
        {
            Kernel.Sleep(Grain);
        }
        else if (untilDue > 0)
        {
            Kernel.Wait(_near, _far, Math.Clamp(untilDue, Grain, LongestWait));
        }
    }
}
