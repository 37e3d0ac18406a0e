using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Microsoft.FSharp.Collections;
using UtpPunch.Protocol;
using UtpPunch.Sim;

namespace UtpPunch.NatLab.Network;

/// <summary>
/// The open internet. A packet that a kernel sends to its TUN device leaves the device of the destination 20 ms later and 8 hops away; a
/// packet whose TTL expires on the path is dropped. The path is the simulator's link model (<see cref="Carrier"/>) in real time. One thread
/// forwards all packets.
/// </summary>
internal sealed class Internet : IDisposable
{
    private const int Hops = 8;
    private const int DelayMicroseconds = 20_000;
    private const int LargestPacket = 65536;
    private const long Never = long.MaxValue;

    private readonly ConcurrentDictionary<Endpoint, Line> _routes = new();
    private readonly ConcurrentDictionary<Line, bool> _lines = new();
    private readonly ConcurrentQueue<Line> _leaving = new();
    private readonly PriorityQueue<Datagram, (long Due, long Order)> _underWay = new();
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly byte[] _buffer = new byte[LargestPacket];
    private readonly int _bell = Libc.OpenEvent();
    private readonly Thread _thread;
    private long _count;
    private volatile bool _disposed;

    public Internet()
    {
        _thread = new Thread(Run) { IsBackground = true, Name = "internet" };
        _thread.Start();
    }

    private long Now => _clock.ElapsedTicks / (Stopwatch.Frequency / 1_000_000);

    /// <summary>Gives a namespace a device `wan` with these addresses, through which the default routes lead. An IPv6 address stands for its /64
    /// prefix.</summary>
    public Line Attach(Namespace place, params IPAddress[] addresses)
    {
        var descriptor = place.Run(() => Libc.OpenTun("wan"));
        place.Ip(string.Join('\n', [
            "link set lo up",
            .. addresses.Select(address => IsIPv6(address) ? $"addr add {address}/128 dev wan nodad" : $"addr add {address}/32 dev wan"),
            "link set wan txqueuelen 4096 up",           // birthday probing sends its probes in one burst
            .. addresses.Any(address => !IsIPv6(address)) ? ["route add default dev wan"] : Array.Empty<string>(),
            .. addresses.Any(IsIPv6) ? ["route add ::/0 dev wan"] : Array.Empty<string>()]));
        var line = new Line(this, descriptor, addresses);
        foreach (var address in addresses)
        {
            _routes[IpPacket.Network(address)] = line;
        }

        _lines[line] = true;
        Ring();
        return line;
    }

    public void Dispose()
    {
        _disposed = true;
        Ring();
        _thread.Join();
        foreach (var line in _lines.Keys)
        {
            Libc.Close(line.Descriptor);
        }

        Libc.Close(_bell);
    }

    private void Run()
    {
        Line[] lines = [];
        Libc.PollEntry[] entries = [];
        while (!_disposed)
        {
            if (entries.Length != _lines.Count + 1 || !_leaving.IsEmpty)
            {
                Forget();
                lines = [.. _lines.Keys];
                entries = [new() { Descriptor = _bell, Events = Libc.PollIn },
                    .. lines.Select(line => new Libc.PollEntry { Descriptor = line.Descriptor, Events = Libc.PollIn })];
            }

            Libc.Poll(entries, Timeout());
            if (entries[0].Returned != 0)
            {
                Libc.Read(_bell, _buffer);
            }

            for (var i = 0; i < lines.Length; i++)
            {
                if (entries[i + 1].Returned != 0)
                {
                    Take(lines[i]);
                }
            }

            Hand();
        }
    }

    // Whole milliseconds, rounded up: nothing arrives too early.
    private int Timeout() =>
        _underWay.TryPeek(out _, out var next) ? (int)Math.Max(0, (next.Due - Now + 999) / 1000) : -1;

    private void Take(Line line)
    {
        while (Libc.Read(line.Descriptor, _buffer) is > 0 and var length)
        {
            var packet = _buffer.AsSpan(0, length);
            if (IpPacket.IsPacket(packet) && IpPacket.Travel(packet, Hops))
            {
                line.Uplink.Offer(Now, new Datagram(_count++, IpPacket.Source(packet), IpPacket.Destination(packet), packet.ToArray(), Now));
            }
        }
    }

    private void Hand()
    {
        while (_underWay.TryPeek(out var datagram, out var next) && next.Due <= Now)
        {
            _underWay.Dequeue();
            if (_routes.TryGetValue(EndpointModule.network(datagram.To), out var line))
            {
                Libc.Write(line.Descriptor, datagram.Bytes);
            }
        }
    }

    // Only the thread that polls a descriptor may close it: its number is reused.
    private void Forget()
    {
        while (_leaving.TryDequeue(out var line))
        {
            foreach (var address in line.Addresses)
            {
                _routes.TryRemove(IpPacket.Network(address), out _);
            }

            _lines.TryRemove(line, out _);
            Libc.Close(line.Descriptor);
        }
    }

    private void Detach(Line line)
    {
        _leaving.Enqueue(line);
        Ring();
    }

    private void Ring() => Libc.Write(_bell, [1, 0, 0, 0, 0, 0, 0, 0]);

    private static bool IsIPv6(IPAddress address) => address.AddressFamily == AddressFamily.InterNetworkV6;

    private static UtpPunch.Sim.Path Way()
    {
        var plain = PathModule.perfect;
        return new(
            DelayMicroseconds, plain.Lateness, plain.Rate, plain.Queue, plain.Loss, FSharpList<Drop>.Empty, plain.Reorder, plain.ReorderBy,
            plain.Duplication, plain.Copies, plain.CopiesLate, plain.Corruption, plain.Harm, plain.Mtu, FSharpList<Cut>.Empty);
    }

    /// <summary>The attachment of one kernel.</summary>
    internal sealed class Line : IDisposable, ICarrierHost
    {
        private readonly Internet _internet;

        public Line(Internet internet, int descriptor, IPAddress[] addresses)
        {
            _internet = internet;
            Descriptor = descriptor;
            Addresses = addresses;
            Uplink = new Carrier(Way(), 1, Never, this);
        }

        public int Descriptor { get; }

        public IPAddress[] Addresses { get; }

        /// <summary>The path from here to any destination.</summary>
        public Carrier Uplink { get; }

        public void Dispose() => _internet.Detach(this);

        void ICarrierHost.Arrive(long at, Datagram datagram, long waited, int copy) =>
            _internet._underWay.Enqueue(datagram, (at, _internet._count++));

        void ICarrierHost.Lost(Datagram datagram, string cause)
        {
        }

        // A path without a rate limit has no queue.
        void ICarrierHost.DepartAt(long at) => throw new NotSupportedException("this way has no queue");
    }
}
