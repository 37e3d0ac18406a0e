using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>The load of a rendezvous server.</summary>
/// <param name="Waiting">The number of peers that wait for another one.</param>
/// <param name="Introductions">The number of introductions that are not complete.</param>
/// <param name="Introduced">The number of pairs that were introduced since the start.</param>
/// <param name="Dropped">The number of datagrams that were dropped since the start, because they were not valid or too many.</param>
public readonly record struct RendezvousServerStatistics(int Waiting, int Introductions, long Introduced, long Dropped);

/// <summary>
/// A server that introduces peers that enter the same room. It relays no data, and does not learn the secret of a room. Until an address
/// has proved that it receives, it is sent no more bytes than it has sent. One thread serves all sockets.
/// </summary>
public sealed class RendezvousServer : IAsyncDisposable
{
    private const int MaxDatagram = 2048;
    private const int MaxBatch = 256;
    private const int SocketBuffer = 4 << 20;
    private const int SeedLength = 32;
    private const long LongestWait = 60 * Clock.MicrosecondsPerSecond;

    private readonly Socket[] _sockets;
    private readonly SocketAddress[] _sources;
    private readonly Socket _waker = SocketFactory.Waker();
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<(Endpoint From, Borrowed Datagram)> _received = [];
    private readonly byte[] _buffer = new byte[MaxDatagram];
    private readonly Thread _thread;
    private Rendezvous _server;
    private volatile bool _stopping;

    private RendezvousServer(Socket[] sockets, RendezvousServerOptions options)
    {
        _sockets = sockets;
        _sources = [.. sockets.Select(socket => new SocketAddress(socket.AddressFamily))];
        LocalEndPoints = [.. sockets.Select(socket => (IPEndPoint)socket.LocalEndPoint!)];
        var standard = RendezvousModule.standard;
        _server = RendezvousModule.Create(
            new RendezvousOptions(
                [.. LocalEndPoints.Select(Addresses.ToEndpoint)],
                options.MaxRegistrations,
                options.MaxRegistrationsPerSource,
                options.DatagramsPerSecondPerSource,
                standard.Lifetime,
                options.Legacy,
                options.Stun),
            new Owned(RandomNumberGenerator.GetBytes(SeedLength)),
            Clock.Now);
        _thread = new Thread(Run) { IsBackground = true, Name = $"rendezvous {LocalEndPoints[0]}" };
    }

    /// <summary>Binds the sockets and starts to serve them.</summary>
    /// <param name="options">The options, which are copied; <see langword="null"/> for the defaults.</param>
    /// <exception cref="ArgumentException">There is no address for a socket, or there are more than four.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A limit is not positive.</exception>
    /// <exception cref="SocketException">A socket could not be bound.</exception>
    public static RendezvousServer Start(RendezvousServerOptions? options = null)
    {
        options ??= new RendezvousServerOptions();
        ArgumentNullException.ThrowIfNull(options.LocalEndPoints);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.MaxRegistrations, nameof(options.MaxRegistrations));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.MaxRegistrationsPerSource, nameof(options.MaxRegistrationsPerSource));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.DatagramsPerSecondPerSource, nameof(options.DatagramsPerSecondPerSource));
        if (options.LocalEndPoints.Count is < 1 or > 4)
        {
            throw new ArgumentException("A rendezvous server has one to four sockets.", nameof(options));
        }

        var sockets = new List<Socket>();
        try
        {
            foreach (var local in options.LocalEndPoints)
            {
                sockets.Add(SocketFactory.Bind(local, SocketBuffer, SocketBuffer));
            }

            var server = new RendezvousServer([.. sockets], options);
            server._thread.Start();
            return server;
        }
        catch
        {
            sockets.ForEach(socket => socket.Dispose());
            throw;
        }
    }

    /// <summary>Gets the addresses of the sockets, with the ports that the system chose. Clients begin with the first one.</summary>
    public IReadOnlyList<IPEndPoint> LocalEndPoints { get; }

    /// <summary>Gets a task that completes when the server has stopped, and fails if the server has failed.</summary>
    public Task Completion => _completion.Task;

    /// <summary>Returns the load. It may be called from any thread.</summary>
    public RendezvousServerStatistics GetStatistics()
    {
        var now = RendezvousModule.Statistics(Volatile.Read(ref _server));
        return new RendezvousServerStatistics(now.Waiting, now.Introductions, now.Introduced, now.Dropped);
    }

    /// <summary>Stops the server at once. Peers that wait are not told.</summary>
    public async ValueTask DisposeAsync()
    {
        _stopping = true;
        try
        {
            _waker.Send([1]);
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            // The thread is awake already, or has ended.
        }

        await Completion.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private void Run()
    {
        try
        {
            while (!_stopping)
            {
                Step();
            }

            _completion.SetResult();
        }
        catch (Exception fault)
        {
            _completion.SetException(fault);
            _ = _completion.Task.Exception;
        }
        finally
        {
            foreach (var socket in _sockets)
            {
                socket.Dispose();
            }

            _waker.Dispose();
        }
    }

    private void Step()
    {
        var ready = new List<Socket>(_sockets) { _waker };
        var wait = Math.Clamp(RendezvousModule.Deadline(_server) - Clock.Now, 0, LongestWait);
        Socket.Select(ready, null, null, (int)((wait + 999) / 1000 * 1000));
        _received.Clear();
        for (var index = 0; index < _sockets.Length; index++)
        {
            for (var count = 0; count < MaxBatch && ready.Contains(_sockets[index]) && Receive(index, mayBeEmpty: count == 0); count++)
            {
            }
        }

        var (server, sent) = RendezvousModule.Step(Clock.Now, [.. _received], _server);
        Volatile.Write(ref _server, server);
        foreach (var (remote, datagram) in sent)
        {
            Send(remote, datagram);
        }
    }

    /// <returns><see langword="false"/> if there was no datagram.</returns>
    private bool Receive(int index, bool mayBeEmpty)
    {
        try
        {
            // An empty datagram must be received, or the socket would stay readable for ever.
            if (_sockets[index].Available == 0 && !mayBeEmpty)
            {
                return false;
            }

            var source = _sources[index];
            var length = _sockets[index].ReceiveFrom(_buffer, SocketFlags.None, source);
            _received.Add((EndpointModule.via((ushort)index, Addresses.Read(source)), new Borrowed(_buffer[..length])));
            return true;
        }
        catch (SocketException error)
        {
            // The datagram was longer than any valid one, or an ICMP packet was reported.
            _sources[index].Size = SocketAddress.GetMaximumAddressSize(_sockets[index].AddressFamily);
            return error.SocketErrorCode != SocketError.WouldBlock;
        }
    }

    private void Send(Endpoint remote, Owned datagram)
    {
        var socket = _sockets[remote.Via];
        if (Addresses.Write(remote, socket.AddressFamily) is not { } address)
        {
            return;
        }

        try
        {
            socket.SendTo(datagram.Span, SocketFlags.None, address);
        }
        catch (SocketException)
        {
            // As if the datagram was lost: the client repeats its request.
        }
    }
}
