using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>A room, for the operator of the service: its tag in hexadecimal digits, and some of its members.</summary>
internal sealed record RoomListing(string Tag, int Visitors, int Staying, IReadOnlyList<IPEndPoint> Members);

/// <summary>
/// A server that introduces peers that enter the same room. It relays no data, and does not learn the secret of a room. Until an address
/// has proved that it receives, it is sent no more bytes than it has sent. One thread serves all sockets.
/// </summary>
/// <example><code>
/// await using var server = UtpRendezvousServer.Bind();   // the UDP ports 42000 and 42001
/// await server.Completion;
/// </code></example>
public sealed class UtpRendezvousServer : IAsyncDisposable
{
    private const int SocketBuffer = 4 << 20;
    private const int SeedLength = 32;

    private readonly IDatagramTransport _transport;
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<Event> _received = [];
    private readonly SlabList _slabs = [];
    private readonly Thread _thread;
    private readonly SharedRooms? _shared;
    private readonly RendezvousTelemetry _telemetry;
    private Rendezvous _server;
    private volatile bool _isStopping;
    private volatile bool _isDraining;

    private UtpRendezvousServer(
        IDatagramTransport transport, UtpRendezvousServerOptions options, IRoomStore? store, RendezvousTelemetry telemetry)
    {
        _transport = transport;
        _telemetry = telemetry;
        _shared = store is null ? null : new SharedRooms(store, transport.Wake);
        LocalEndPoints = [.. Enumerable.Range(0, options.LocalEndPoints.Count)
            .Select(index => transport.LocalEndPointOf(EndpointModule.via((ushort)index, EndpointModule.nowhere)))];
        var standard = RendezvousModule.standard;
        var limits = new RendezvousOptions(
            [.. LocalEndPoints.Select(Addresses.ToEndpoint)],
            options.MaxRegistrations,
            options.MaxRegistrationsPerSource,
            options.MaxRegistrationsPerRoom,
            options.DatagramsPerSecondPerSource,
            standard.Lifetime,
            options.EnableNpm,
            options.EnableStun);
        var seed = new Owned(RandomNumberGenerator.GetBytes(SeedLength));
        _server = store is null ? RendezvousModule.Create(limits, seed, Clock.Now) : RendezvousModule.CreateShared(store.Instance, limits, seed, Clock.Now);
        _thread = new Thread(Run) { IsBackground = true, Name = $"rendezvous {LocalEndPoints[0]}" };
    }

    /// <summary>Binds the sockets and starts to serve them.</summary>
    /// <param name="options">The options, which are copied; <see langword="null"/> for the defaults.</param>
    /// <returns>The server, which the caller disposes.</returns>
    /// <exception cref="ArgumentException">There is no address for a socket, or there are more than four, or one is <see langword="null"/>.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A limit is not positive.</exception>
    /// <exception cref="SocketException">A socket could not be bound.</exception>
    public static UtpRendezvousServer Bind(UtpRendezvousServerOptions? options = null) => Bind(options ?? new UtpRendezvousServerOptions(), null);

    /// <summary>Starts a server that shares its rooms with other instances.</summary>
    internal static UtpRendezvousServer Bind(UtpRendezvousServerOptions options, IRoomStore? store)
    {
        ArgumentNullException.ThrowIfNull(options.LocalEndPoints);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.MaxRegistrations, nameof(options.MaxRegistrations));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.MaxRegistrationsPerSource, nameof(options.MaxRegistrationsPerSource));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.MaxRegistrationsPerRoom, nameof(options.MaxRegistrationsPerRoom));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.DatagramsPerSecondPerSource, nameof(options.DatagramsPerSecondPerSource));
        if (!Enum.IsDefined(options.SocketMode))
        {
            throw new ArgumentOutOfRangeException(nameof(options.SocketMode), options.SocketMode, "There is no such mode.");
        }

        if (options.LocalEndPoints.Count is < 1 or > 4 || options.LocalEndPoints.Contains(null!))
        {
            throw new ArgumentException("A rendezvous server has one to four sockets.", nameof(options.LocalEndPoints));
        }

        var telemetry = new RendezvousTelemetry(options.LoggerFactory, options.MeterFactory);
        IDatagramTransport transport = options.TransportFactory is { } factory
            ? new CustomTransport(factory, options.LocalEndPoints, SocketBuffer)
            : TransportChoice.Bind(options.LocalEndPoints, SocketBuffer, SocketBuffer, options.SocketMode);
        try
        {
            var server = new UtpRendezvousServer(transport, options, store, telemetry);
            telemetry.OnStarted(server);
            server._thread.Start();
            server._shared?.Start();
            return server;
        }
        catch
        {
            // A logger that throws must not keep the ports.
            transport.Dispose();
            throw;
        }
    }

    /// <summary>Gets the addresses of the sockets, with the ports that the system chose. Clients begin with the first one.</summary>
    public IReadOnlyList<IPEndPoint> LocalEndPoints { get; }

    /// <summary>Gets a task that completes when the server has stopped, and fails if the server has failed.</summary>
    public Task Completion => _completion.Task;

    /// <summary>Returns the load. It may be called from any thread.</summary>
    /// <returns>The values of this moment.</returns>
    public UtpRendezvousServerStatistics GetStatistics()
    {
        var now = RendezvousModule.Statistics(Volatile.Read(ref _server));
        return new UtpRendezvousServerStatistics
        {
            WaitingPeers = now.Waiting,
            PendingIntroductions = now.Introductions,
            TotalIntroductions = now.Introduced,
            DatagramsRefused = now.Dropped,
        };
    }

    /// <summary>What the operator of the service watches. It may be called from any thread.</summary>
    internal RendezvousCounts GetCounts() => RendezvousModule.Counts(Volatile.Read(ref _server));

    /// <summary>What the meter has of this server. It may be called from any thread.</summary>
    internal RendezvousCounters GetCounters() => RendezvousCounters.Of(Volatile.Read(ref _server), _transport.Dropped);

    /// <summary>The largest rooms, with the addresses of some members of each. It may be called from any thread, and takes a time that grows with the number
    /// of rooms.</summary>
    internal IReadOnlyList<RoomListing> GetRooms(int most, int members) =>
    [
        .. RendezvousModule.Rooms(most, members, Volatile.Read(ref _server)).Select(room => new RoomListing(
            Convert.ToHexStringLower(room.Tag.Span), room.Visitors, room.Staying, [.. room.Members.Select(Addresses.ToIPEndPoint)])),
    ];

    /// <summary>The counts of a server that has not started.</summary>
    internal static RendezvousCounts NoCounts { get; } =
        RendezvousModule.Counts(RendezvousModule.Create(RendezvousModule.standard, new Owned(new byte[SeedLength]), 0));

    /// <summary>The tag of a room without a secret, in hexadecimal digits.</summary>
    internal static string TagOf(string room) => Convert.ToHexStringLower(Secrets.tag(RoomKey.Of(room, null)).Span);

    /// <summary>
    /// Stops the server as soon as no introduction is under way, so that peers that are about to meet do meet. Until then it serves its clients as before. Peers
    /// that wait in rooms are not told. It does not throw if the server has failed: <see cref="Completion"/> does. If it is called several times, the
    /// earliest end of a time counts.
    /// </summary>
    /// <param name="drain">How long introductions may take; it may be zero, or <see cref="Timeout.InfiniteTimeSpan"/>. One takes 3 s at most, and a server that
    /// is busy begins others meanwhile.</param>
    /// <param name="cancellationToken">Stops the server at once.</param>
    /// <returns>A task that completes when the sockets are closed.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The time is negative.</exception>
    /// <exception cref="OperationCanceledException">The wait was cancelled. The server has stopped.</exception>
    /// <example><code>
    /// await using var server = UtpRendezvousServer.Bind();
    /// Console.CancelKeyPress += async (_, pressed) =>
    /// {
    ///     pressed.Cancel = true;
    ///     await server.StopAsync(TimeSpan.FromSeconds(5));
    /// };
    /// await server.Completion;
    /// </code></example>
    public async ValueTask StopAsync(TimeSpan drain, CancellationToken cancellationToken = default)
    {
        UtpNodeOptionsCheck.Positive(drain, nameof(drain), mayBeInfinite: true, mayBeZero: true);
        _isDraining = true;
        _transport.Wake();
        await ((Task)Completion.WaitAsync(drain, cancellationToken)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        var isCancelled = !Completion.IsCompleted && cancellationToken.IsCancellationRequested;
        await DisposeAsync().ConfigureAwait(false);
        if (isCancelled)
        {
            cancellationToken.ThrowIfCancellationRequested();
        }
    }

    /// <summary>Stops the server at once. Peers that wait, and those that are being introduced, are not told; <see cref="StopAsync"/> lets introductions
    /// end.</summary>
    public async ValueTask DisposeAsync()
    {
        _isStopping = true;
        _transport.Wake();
        await Completion.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private bool IsDrained => _isDraining && RendezvousModule.Statistics(_server).Introductions == 0;

    private void Run()
    {
        Exception? fault = null;
        try
        {
            while (!_isStopping && !IsDrained)
            {
                Step();
            }
        }
        catch (Exception error)
        {
            fault = error;
        }
        finally
        {
            _shared?.Stop();
            _transport.Dispose();
        }

        End(fault);
    }

    // The ports are free when the completion is.
    private void End(Exception? fault)
    {
        try
        {
            _telemetry.OnEnded(this, _server, fault);
        }
        catch (Exception error)
        {
            // A logger that throws.
            fault ??= error;
        }

        if (fault is null)
        {
            _completion.SetResult();
        }
        else
        {
            _completion.SetException(fault);
            _ = _completion.Task.Exception;
        }
    }

    private void Step()
    {
        _transport.Prepare();
        _transport.Wait(Math.Min(RendezvousModule.Deadline(_server), _telemetry.Deadline) - Clock.Now);
        _transport.Receive(_received, _slabs);
        var datagrams = new List<(Endpoint From, Borrowed Datagram)>();
        foreach (var received in _received.OfType<Event.Received>())
        {
            for (var index = 0; index < received.datagrams.Count; index++)
            {
                datagrams.Add((received.from, received.datagrams[index]));
            }
        }

        var now = Clock.Now;
        var (server, sent, requests) = RendezvousModule.StepShared(now, [.. datagrams], _shared?.Take() ?? [], _server);
        Volatile.Write(ref _server, server);
        _shared?.Perform(requests);
        _received.Clear();
        _transport.News.Clear();
        _slabs.Release();
        foreach (var (remote, datagram) in sent)
        {
            // What is not sent is as if it were lost: the client repeats its request.
            _transport.Send(remote, datagram.Span);
        }

        _telemetry.OnStep(now, server);
    }
}
