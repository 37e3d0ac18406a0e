using System.Diagnostics;
using UtpPunch.Sim;
using SimPath = UtpPunch.Sim.Path;

namespace UtpPunch.Cli.Bench;

/// <summary>
/// Two hosts, each in a network namespace of its own, and the path between them. Whatever IP packet a host sends comes out of its TUN device,
/// passes one direction of the path, and goes into the other host's device. UDP and TCP take the same way.
/// </summary>
internal sealed class WanLink : IDisposable
{
    public const string SenderIp = "198.18.0.1";                // the network for benchmarks (RFC 2544)
    public const string ReceiverIp = "198.18.0.2";

    private const string Device = "wan";
    private const int Batch = 64;
    private const long LongestWait = 20_000;

    // The kernel's own limits must not be the narrowest place: the device's queue holds what TCP sends in one burst.
    private const int DeviceQueue = 20_000;
    private const string TcpBuffers = "4096 131072 67108864";

    private readonly List<int> _descriptors = [];
    private readonly WanPath _path;
    private readonly WanDirection _forward;
    private readonly WanDirection _back;
    private readonly Thread _thread;
    private SimPath? _change;
    private volatile bool _disposed;

    public WanLink(WanPath path, ulong seed)
    {
        _path = path;
        try
        {
            Sender = new NetworkNamespace("sender");
            Receiver = new NetworkNamespace("receiver");
            var near = Open(Sender, SenderIp, ReceiverIp);
            var far = Open(Receiver, ReceiverIp, SenderIp);
            _forward = new WanDirection(path.Forward(), seed, near, far);
            _back = new WanDirection(path.Back(), seed, far, near);
        }
        catch
        {
            Close();
            throw;
        }

        _thread = new Thread(Run) { IsBackground = true, Name = "link" };
        _thread.Start();
    }

    /// <summary>The host that sends the data.</summary>
    public NetworkNamespace Sender { get; } = null!;

    public NetworkNamespace Receiver { get; } = null!;

    /// <summary>What the direction of the data has measured.</summary>
    public LinkMeter Meter => _forward.Meter;

    /// <summary>Makes the direction of the data longer.</summary>
    public void Change(WanChange change) => Volatile.Write(ref _change, _path.Forward(change.LaterByMs));

    public void Dispose()
    {
        _disposed = true;
        _thread.Join();
        Close();
    }

    private int Open(NetworkNamespace host, string ip, string peer)
    {
        host.Set("ipv6/conf/all/disable_ipv6", "1");
        host.Set("ipv4/tcp_rmem", TcpBuffers);
        host.Set("ipv4/tcp_wmem", TcpBuffers);
        var descriptor = host.Run(() => Kernel.OpenTun(Device));
        _descriptors.Add(descriptor);
        host.Ip($"link set lo up\naddr add {ip} peer {peer} dev {Device}\nlink set {Device} mtu 1500 txqueuelen {DeviceQueue} up\n");
        return descriptor;
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
            var wait = Math.Min(Math.Min(_forward.Due, _back.Due) - Now(), LongestWait);
            if (!isBusy && wait > 0)
            {
                Kernel.Wait(_descriptors[0], _descriptors[1], wait);
            }
        }

        long Now() => clock.ElapsedTicks / (Stopwatch.Frequency / 1_000_000);
    }

    private void Close()
    {
        _descriptors.ForEach(Kernel.Close);
        Sender?.Dispose();
        Receiver?.Dispose();
    }
}
