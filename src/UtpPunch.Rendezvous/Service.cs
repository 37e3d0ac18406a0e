using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using UtpPunch.Protocol;
using UtpPunch.Rendezvous.Redis;

namespace UtpPunch.Rendezvous;

/// <summary>Runs the server in a host, and lets introductions end when the host stops.</summary>
internal sealed partial class Service(
    Settings settings, IHostApplicationLifetime lifetime, ILogger<Service> logger, ILoggerFactory loggers)
    : IHostedLifecycleService, IAsyncDisposable
{
    private volatile UtpRendezvousServer? _server;
    private volatile bool _isDraining;

    /// <summary>The server's load; zero before it has started.</summary>
    public UtpRendezvousServerStatistics Statistics => _server?.GetStatistics() ?? default;

    /// <summary>What the operator watches; zero before the server has started.</summary>
    public RendezvousCounts Counts => _server?.GetCounts() ?? UtpRendezvousServer.NoCounts;

    /// <summary>The addresses of the server's sockets; none before it has started.</summary>
    public IReadOnlyList<IPEndPoint> EndPoints => _server?.LocalEndPoints ?? [];

    /// <summary>Whether clients may be sent here: the server runs, and does not stop.</summary>
    public bool IsReady => IsAlive && !_isDraining;

    /// <summary>Whether the server runs.</summary>
    public bool IsAlive => _server is { Completion.IsCompleted: false };

    /// <summary>Whether the settings name a Redis.</summary>
    public bool HasRedis => settings.Redis is not null;

    /// <summary>What this instance shares with others; null without Redis.</summary>
    public RedisRooms? Rooms { get; private set; }

    /// <summary>The largest rooms, with the addresses of some members.</summary>
    public IReadOnlyList<RoomListing> GetRooms(int most, int members) => _server?.GetRooms(most, members) ?? [];

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        Rooms = settings.Redis is { } redis ? await RedisRooms.ConnectAsync(redis, logger).ConfigureAwait(false) : null;
        settings.Server.LoggerFactory = loggers;
        var server = Start(settings.Server, Rooms);
        _server = server;

        // Of a list, the JSON would have the name of its type.
        var endPoints = string.Join(", ", server.LocalEndPoints);
        LogListening(endPoints);
        if (settings.AdminToken is null && !IPAddress.IsLoopback(settings.Admin.Address))
        {
            LogOpen(settings.Admin);
        }

        if (Rooms is { IsConnected: false })
        {
            LogNoRedis();
        }

        _ = WatchAsync(server);
    }

    /// <summary>Lets introductions end, and stops the server. Clients that wait ask another server, or the next one. Health
    /// is still answered meanwhile: the web server stops later.</summary>
    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        _isDraining = true;
        if (_server is not { } server)
        {
            return;
        }

        LogDraining(Statistics.PendingIntroductions, Statistics.WaitingPeers);
        await server.StopAsync(settings.Drain, cancellationToken).AsTask().ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        var end = Statistics;
        LogStopped(end.TotalIntroductions, end.PendingIntroductions, end.WaitingPeers, end.DatagramsRefused);
    }

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        if (_server is { } server)
        {
            await server.DisposeAsync().ConfigureAwait(false);
        }

        if (Rooms is { } rooms)
        {
            await rooms.DisposeAsync().ConfigureAwait(false);
        }
    }

    private static UtpRendezvousServer Start(UtpRendezvousServerOptions options, RedisRooms? rooms)
    {
        try
        {
            return UtpRendezvousServer.Bind(options, rooms);
        }
        catch (SocketException error)
        {
            throw new IOException($"{string.Join(", ", options.LocalEndPoints)} cannot be bound: {error.Message}", error);
        }
    }

    // A server that fails ends the process with an error, so that it is started again.
    private async Task WatchAsync(UtpRendezvousServer server)
    {
        try
        {
            await server.Completion.ConfigureAwait(false);
        }
        catch (Exception error)
        {
            LogFailed(error);
            Environment.ExitCode = 1;
            lifetime.StopApplication();
        }
    }

    [LoggerMessage(EventId = 1, Level = LogLevel.Information, Message = "Listening on {EndPoints}")]
    private partial void LogListening(string endPoints);

    [LoggerMessage(
        EventId = 2,
        Level = LogLevel.Information,
        Message = "Stopping: {Introductions} introductions are under way, {Waiting} peers wait")]
    private partial void LogDraining(int introductions, int waiting);

    [LoggerMessage(
        EventId = 3,
        Level = LogLevel.Information,
        Message = "Stopped: {Introduced} pairs introduced; {Introductions} introductions and {Waiting} peers left; {Dropped} datagrams dropped")]
    private partial void LogStopped(long introduced, int introductions, int waiting, long dropped);

    [LoggerMessage(EventId = 4, Level = LogLevel.Critical, Message = "The server has failed")]
    private partial void LogFailed(Exception error);

    [LoggerMessage(EventId = 8, Level = LogLevel.Warning, Message = "Redis does not answer. This instance begins with its own rooms")]
    private partial void LogNoRedis();

    [LoggerMessage(EventId = 9, Level = LogLevel.Warning, Message = "Metrics and the dashboard at {Admin} are open to other machines: there is no AdminToken")]
    private partial void LogOpen(IPEndPoint admin);
}
