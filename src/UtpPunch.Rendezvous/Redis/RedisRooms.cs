using System.Buffers.Binary;
using System.Net;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace UtpPunch.Rendezvous.Redis;

/// <summary>
/// The rooms of several instances in one Redis. Who waits in a room stands in two sorted sets, those who stay and the others, with the time at which it
/// is forgotten; an instance receives messages on a channel of its own. Nothing is waited for: while Redis is away, each instance has its own rooms.
/// </summary>
internal sealed partial class RedisRooms : IRoomStore, IAsyncDisposable
{
    // Requests under way; further ones are lost, and clients repeat what led to them.
    private const int MaxUnderWay = 20_000;

    // Redis' clock counts, since those of the instances may differ. Others in the room: the latest visitors; of those who stay, any.
    private const string ShareScript = """
        local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)
        redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
        redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
        local stays = ARGV[3] == '1'
        local own = stays and KEYS[2] or KEYS[1]
        redis.call('ZADD', own, now + ARGV[2], ARGV[1])
        redis.call('PEXPIRE', own, ARGV[2])
        local others = redis.call('ZREVRANGE', KEYS[1], 0, 16)
        if not stays then
            for _, one in ipairs(redis.call('ZRANDMEMBER', KEYS[2], 16)) do
                others[#others + 1] = one
            end
        end
        return others
        """;

    private readonly ConnectionMultiplexer _redis;
    private readonly ILogger _logger;
    private IRoomStoreListener? _listener;
    private int _underWay;
    private long _errors;
    private long _toldAt;

    private RedisRooms(ConnectionMultiplexer redis, ILogger logger)
    {
        _redis = redis;
        _logger = logger;
        Instance = BinaryPrimitives.ReadUInt64BigEndian(RandomNumberGenerator.GetBytes(sizeof(ulong))) | 1;
        redis.ConnectionFailed += (_, failed) => LogLost(failed.EndPoint, failed.FailureType);
        redis.ConnectionRestored += (_, restored) => OnRestored(restored);
    }

    public ulong Instance { get; }

    /// <summary>Whether Redis answers.</summary>
    public bool IsConnected => _redis.IsConnected;

    /// <summary>The number of requests without an answer yet.</summary>
    public int UnderWay => Volatile.Read(ref _underWay);

    /// <summary>The number of requests that failed or were lost, and of values that are not valid.</summary>
    public long Errors => Interlocked.Read(ref _errors);

    /// <summary>Connects, or goes on to try in the background if Redis is away.</summary>
    public static async Task<RedisRooms> ConnectAsync(ConfigurationOptions options, ILogger logger)
    {
        options.AbortOnConnectFail = false;
        options.ClientName = "utp-rendezvous";
        // Requests of before an interruption are of no use after it.
        options.BacklogPolicy = BacklogPolicy.FailFast;
        options.ReconnectRetryPolicy = new LinearRetry(500);
        options.ConnectTimeout = 1000;
        options.AsyncTimeout = 2000;
        return new RedisRooms(await ConnectionMultiplexer.ConnectAsync(options).ConfigureAwait(false), logger);
    }

    public void Start(IRoomStoreListener listener)
    {
        _listener = listener;
        _ = RunAsync(() => _redis.GetSubscriber().SubscribeAsync(StoredValues.ChannelOf(Instance), (_, value) => OnMessage(value)));
    }

    public void Share(ReadOnlyMemory<byte> room, int number, bool stays, TimeSpan lifetime) => _ = RunAsync(async () =>
    {
        var result = await _redis.GetDatabase().ScriptEvaluateAsync(
            ShareScript,
            [StoredValues.VisitorsOf(room), StoredValues.StayingIn(room)],
            [StoredValues.Member(Instance, number), (long)lifetime.TotalMilliseconds, stays ? 1 : 0]).ConfigureAwait(false);
        var others = StoredValues.ReadMembers(result).Where(other => other.Instance != Instance).ToArray();
        if (others.Length > 0)
        {
            _listener?.OnMembers(number, others);
        }
    });

    public void Unshare(ReadOnlyMemory<byte> room, int number) => _ = RunAsync(async () =>
    {
        var member = StoredValues.Member(Instance, number);
        await Task.WhenAll(
            _redis.GetDatabase().SortedSetRemoveAsync(StoredValues.VisitorsOf(room), member),
            _redis.GetDatabase().SortedSetRemoveAsync(StoredValues.StayingIn(room), member)).ConfigureAwait(false);
    });

    public void Tell(ulong instance, ReadOnlyMemory<byte> message) => _ = RunAsync(async () =>
    {
        var receivers = await _redis.GetDatabase().PublishAsync(StoredValues.ChannelOf(instance), StoredValues.Message(Instance, message))
            .ConfigureAwait(false);
        if (receivers == 0)
        {
            _listener?.OnUndelivered(message.ToArray());
        }
    });

    public ValueTask DisposeAsync() => _redis.DisposeAsync();

    private async Task RunAsync(Func<Task> request)
    {
        if (Interlocked.Increment(ref _underWay) > MaxUnderWay)
        {
            Interlocked.Increment(ref _errors);
        }
        else
        {
            try
            {
                await request().ConfigureAwait(false);
            }
            catch (Exception error) when (error is RedisException or TimeoutException or InvalidStoredValueException or ObjectDisposedException)
            {
                OnError(error);
            }
        }

        Interlocked.Decrement(ref _underWay);
    }

    private void OnMessage(RedisValue value)
    {
        try
        {
            var (sender, message) = StoredValues.ReadMessage(value);
            _listener?.OnTold(sender, message);
        }
        catch (InvalidStoredValueException error)
        {
            OnError(error);
        }
    }

    // The subscription must be there, too, before others can propose.
    private void OnRestored(ConnectionFailedEventArgs restored)
    {
        if (restored.ConnectionType == ConnectionType.Subscription)
        {
            LogRestored(restored.EndPoint);
            _listener?.OnRestored();
        }
    }

    // One line a second, and none for requests while Redis is away, which has its own lines.
    private void OnError(Exception error)
    {
        Interlocked.Increment(ref _errors);
        var now = Environment.TickCount64;
        var before = Interlocked.Read(ref _toldAt);
        if (error is not (RedisConnectionException or TimeoutException or ObjectDisposedException)
            && (before == 0 || now - before >= 1000)
            && Interlocked.CompareExchange(ref _toldAt, now, before) == before)
        {
            LogInvalid(error.GetType().Name, error.Message);
        }
    }

    [LoggerMessage(EventId = 5, Level = LogLevel.Warning, Message = "Redis at {EndPoint} is away: {Reason}. This instance goes on with its own rooms")]
    private partial void LogLost(EndPoint? endPoint, ConnectionFailureType reason);

    [LoggerMessage(EventId = 6, Level = LogLevel.Information, Message = "Redis at {EndPoint} is back")]
    private partial void LogRestored(EndPoint? endPoint);

    [LoggerMessage(EventId = 7, Level = LogLevel.Warning, Message = "Redis has something that no instance has written: {Error}: {Reason}")]
    private partial void LogInvalid(string error, string reason);
}
