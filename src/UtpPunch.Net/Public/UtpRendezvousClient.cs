using System.Net;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// Meets peers at a rendezvous server, which introduces peers that enter the same room and relays no data. It uses the socket of a node,
/// whose streams are not affected. Any number of meetings may take place at the same time.
/// </summary>
/// <example><code>
/// var client = new UtpRendezvousClient(node, new DnsEndPoint("rendezvous.example", UtpRendezvousServerOptions.DefaultPort));
/// await using var stream = await client.ConnectAsync("room", new UtpPunchOptions { Secret = secret });   // the peer does the same
/// </code></example>
public sealed class UtpRendezvousClient
{
    /// <summary>The most servers of a client: 3.</summary>
    public const int MaxServers = 3;

    // As that of a listener: streams that AcceptAllAsync has not yet returned. Further ones are reset.
    private const int Backlog = 128;

    private readonly UtpNode _node;
    private readonly EndPoint[] _servers;

    /// <summary>Creates a client of one server. Nothing is sent yet.</summary>
    /// <param name="node">The node whose socket is used.</param>
    /// <param name="server">An <see cref="IPEndPoint"/>, or a <see cref="DnsEndPoint"/>. All addresses of a name are asked, one after the other (RFC 8305), and the
    /// first that answers is used; while none does, the name is looked up again.</param>
    public UtpRendezvousClient(UtpNode node, EndPoint server)
        : this(node, [server])
    {
    }

    /// <summary>Creates a client of several servers. Each meeting takes place at all of them: the peers find each other as long as one of them works
    /// that both have named. They are asked 250 ms apart, and the first introduction counts. Nothing is sent yet.</summary>
    /// <param name="node">The node whose socket is used.</param>
    /// <param name="servers">One to three servers, each as for one server, in any order; the list is copied.</param>
    /// <exception cref="ArgumentException">There is no server, or there are more than three.</exception>
    public UtpRendezvousClient(UtpNode node, IReadOnlyList<EndPoint> servers)
    {
        ArgumentNullException.ThrowIfNull(node);
        ArgumentNullException.ThrowIfNull(servers);
        if (servers.Count is < 1 or > MaxServers)
        {
            throw new ArgumentException($"There are one to {MaxServers} rendezvous servers.", nameof(servers));
        }

        _node = node;
        _servers = [.. servers];
        foreach (var server in _servers)
        {
            ArgumentNullException.ThrowIfNull(server, nameof(servers));
        }
    }

    /// <summary>
    /// Waits for the other peer of a room, punches, and opens a stream. Both peers must call it. One of them opens the stream and the other
    /// one accepts it; the node need not listen.
    /// </summary>
    /// <param name="room">The name of the room. It must not be empty.</param>
    /// <param name="options">The options; <see langword="null"/> for the defaults.</param>
    /// <param name="cancellationToken">Ends the meeting.</param>
    /// <returns>The stream, which the caller disposes.</returns>
    /// <exception cref="ArgumentException">The name is empty, or an option is not valid.</exception>
    /// <exception cref="UtpException"><see cref="UtpError.RendezvousUnreachable"/>, <see cref="UtpError.RendezvousFull"/>, <see cref="UtpError.RoomFull"/>,
    /// <see cref="UtpError.PeerNotFound"/>, <see cref="UtpError.OfferNotAuthentic"/>, <see cref="UtpError.TooManyPunches"/> or
    /// <see cref="UtpError.PunchFailed"/>: the message tells the reason, and <see cref="UtpException.Punch"/> has the facts. Or an error of
    /// <see cref="UtpNode.ConnectAsync(EndPoint, UtpConnectOptions?, CancellationToken)"/>.</exception>
    /// <exception cref="ObjectDisposedException">The node was closed.</exception>
    /// <exception cref="OperationCanceledException">The meeting was cancelled.</exception>
    public async ValueTask<UtpStream> ConnectAsync(string room, UtpPunchOptions? options = null, CancellationToken cancellationToken = default)
    {
        using var span = Spans.Rendezvous();
        try
        {
            var punch = await PunchAsync(room, options, cancellationToken).ConfigureAwait(false);
            return punch.Success
                ? await punch.Path.OpenAsync(cancellationToken).ConfigureAwait(false)
                : throw Failure.Of(punch).ToException();
        }
        catch (Exception error)
        {
            Spans.Fail(span, error);
            throw;
        }
    }

    /// <summary>Waits for the other peer of a room, and punches. <see cref="UtpPunchedPath.OpenAsync"/> opens a stream over the path.</summary>
    /// <param name="room">The name of the room. It must not be empty.</param>
    /// <param name="options">The options; <see langword="null"/> for the defaults.</param>
    /// <param name="cancellationToken">Ends the meeting.</param>
    /// <returns>The result. A punch that fails does not throw.</returns>
    /// <exception cref="ArgumentException">The name is empty, or an option is not valid.</exception>
    /// <exception cref="UtpException">The name of the server has no address, or the node was closed or has failed.</exception>
    /// <exception cref="ObjectDisposedException">The node was closed.</exception>
    /// <exception cref="OperationCanceledException">The meeting was cancelled.</exception>
    public async ValueTask<UtpPunchResult> PunchAsync(
        string room, UtpPunchOptions? options = null, CancellationToken cancellationToken = default)
    {
        // Read before the first await: the caller may change the object afterwards.
        var settings = new MeetSettings(options ?? new UtpPunchOptions());
        ArgumentException.ThrowIfNullOrEmpty(room);
        return await Spans.PunchAsync(() => MeetAsync(room, settings, cancellationToken)).ConfigureAwait(false);
    }

    private async ValueTask<UtpPunchResult> MeetAsync(string room, MeetSettings settings, CancellationToken cancellationToken)
    {
        var plans = await PlansAsync(room, settings, stays: false, cancellationToken).ConfigureAwait(false);
        var works = new List<MeetCommand>();
        var results = new List<Task<UtpPunchResult>>();
        UtpPunchResult? failure = null;
        using var others = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        try
        {
            while (true)
            {
                if (works.Count < plans.Count)
                {
                    var (server, plan) = plans[works.Count];
                    works.Add(new MeetCommand(
                        Begin(plan, works.Count == 0 ? null : () => works[0].TaskId), isLegacy: false, settings.Progress, Lookup(server)));
                    results.Add(_node.RunAsync(works[^1], others.Token).AsTask());
                }

                if (results.Count == 0)
                {
                    return failure!;
                }

                if (works.Count < plans.Count && !await UtpNode.IsWithinAsync(Task.WhenAny(results), UtpNode.HeadStart, cancellationToken).ConfigureAwait(false))
                {
                    continue;
                }

                var ended = await Task.WhenAny(results).ConfigureAwait(false);
                results.Remove(ended);
                cancellationToken.ThrowIfCancellationRequested();
                var result = await ended.ConfigureAwait(false);
                if (result.Success)
                {
                    return result;
                }

                failure = failure is null || Weight(result) > Weight(failure) ? result : failure;
            }
        }
        finally
        {
            await others.CancelAsync().ConfigureAwait(false);
            foreach (var result in results)
            {
                _ = result.ContinueWith(static late => _ = late.Exception, TaskScheduler.Default);
            }
        }
    }

    /// <summary>
    /// Stays in a room, and punches and opens a stream with each peer that enters it, until it is cancelled. Peers that cannot be reached are
    /// skipped, and logged (<see cref="UtpNodeOptions.LoggerFactory"/>). At most 128 streams wait to be taken; further ones are reset.
    /// </summary>
    /// <param name="room">The name of the room. It must not be empty.</param>
    /// <param name="options">The options; <see langword="null"/> for the defaults. <see cref="UtpPunchOptions.Timeout"/> is not used.</param>
    /// <param name="cancellationToken">Leaves the room.</param>
    /// <returns>The streams, which the caller disposes.</returns>
    /// <exception cref="ArgumentException">The name is empty, or an option is not valid.</exception>
    /// <exception cref="UtpException">The server does not answer or is full, or the node was closed or has failed.</exception>
    /// <exception cref="ObjectDisposedException">The node was closed.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public async IAsyncEnumerable<UtpStream> AcceptAllAsync(
        string room, UtpPunchOptions? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var settings = new MeetSettings(options ?? new UtpPunchOptions());
        var plans = await PlansAsync(room, settings, stays: true, cancellationToken).ConfigureAwait(false);
        var works = new List<StayCommand>();
        foreach (var (server, plan) in plans)
        {
            works.Add(new StayCommand(Begin(plan, works.Count == 0 ? null : () => works[0].TaskId), Lookup(server)));
            _node.Engine.Post(works[^1]);
        }

        var streams = Channel.CreateBounded<UtpStream>(new BoundedChannelOptions(Backlog) { FullMode = BoundedChannelFullMode.Wait });
        var opening = OpenAllAsync(works, streams.Writer, cancellationToken);
        try
        {
            await foreach (var stream in streams.Reader.ReadAllAsync(cancellationToken).ConfigureAwait(false))
            {
                yield return stream;
            }

            await opening.ConfigureAwait(false);
        }
        finally
        {
            works.ForEach(work => work.Leave(_node.Engine));
            streams.Writer.TryComplete();
            while (streams.Reader.TryRead(out var late))
            {
                late.Abort();
            }
        }
    }

    /// <summary>Ends when all servers have failed, with the failure of the last one.</summary>
    private async Task OpenAllAsync(List<StayCommand> works, ChannelWriter<UtpStream> streams, CancellationToken cancellationToken)
    {
        var serving = works.Select(work => ServeAsync(work.Results, streams, cancellationToken)).ToList();
        Exception? last = null;
        while (serving.Count > 0)
        {
            var ended = await Task.WhenAny(serving).ConfigureAwait(false);
            serving.Remove(ended);
            last = await ended.ConfigureAwait(false);
        }

        streams.TryComplete(last);
    }

    // Side by side: a peer that is slow to open its stream does not delay others.
    private async Task<Exception?> ServeAsync(ChannelReader<UtpPunchResult> results, ChannelWriter<UtpStream> streams, CancellationToken cancellationToken)
    {
        try
        {
            await foreach (var punch in results.ReadAllAsync(cancellationToken).ConfigureAwait(false))
            {
                if (punch.Stage != UtpPunchStage.Cancelled)
                {
                    Spans.AddPunch(punch);
                }

                if (punch.Success)
                {
                    _ = OpenOneAsync(punch.Path, streams, cancellationToken);
                }
            }

            return null;
        }
        catch (Exception error)
        {
            return error;
        }
    }

    private async Task OpenOneAsync(UtpPunchedPath path, ChannelWriter<UtpStream> streams, CancellationToken cancellationToken)
    {
        try
        {
            var stream = await path.OpenAsync(cancellationToken).ConfigureAwait(false);
            if (!streams.TryWrite(stream))
            {
                _node.Engine.Telemetry.OnRoomStreamDropped(path.RemoteEndPoint);
                stream.Abort();
            }
        }
        catch (UtpException error)
        {
            // This peer has gone. The others are not affected.
            _node.Engine.Telemetry.OnPeerFailed(path.RemoteEndPoint, error);
        }
        catch (Exception error) when (error is OperationCanceledException or ObjectDisposedException)
        {
            // The room is left.
        }
    }

    // A failure that says more about the peer counts more: with one server that is silent and one that works, the latter's.
    private static int Weight(UtpPunchResult result) => result.Stage switch
    {
        UtpPunchStage.Cancelled or UtpPunchStage.TooManyPunches => 0,
        UtpPunchStage.ServerSilent => 1,
        UtpPunchStage.ServerFull or UtpPunchStage.RoomFull => 2,
        UtpPunchStage.NoPeer => 3,
        UtpPunchStage.Rejected => 4,
        _ => 5,
    };

    private static Func<int, Event> Begin(MeetPlan plan, Func<int>? first) =>
        first is null ? taskId => Event.NewMeet(taskId, plan) : taskId => Event.NewMeetAlso(taskId, first(), plan);

    private ServerLookup? Lookup(EndPoint server) =>
        server is DnsEndPoint ? new ServerLookup(() => _node.AddressesAsync(server, default).AsTask()) : null;

    /// <summary>A plan for each server whose name has an address.</summary>
    private async ValueTask<List<(EndPoint Server, MeetPlan Plan)>> PlansAsync(
        string room, MeetSettings settings, bool stays, CancellationToken cancellationToken)
    {
        ArgumentException.ThrowIfNullOrEmpty(room);
        var hosts = _node.Hosts();
        var mapping = settings.MapsPort ? _node.MappedAsync(cancellationToken) : Task.FromResult<Endpoint[]>([]);
        var found = new List<(EndPoint Server, Endpoint[] Addresses)>();
        UtpException? failure = null;
        foreach (var server in _servers)
        {
            try
            {
                found.Add((server, await _node.AddressesAsync(server, cancellationToken).ConfigureAwait(false)));
            }
            catch (UtpException error)
            {
                failure = error;                         // another one may do
            }
        }

        if (found.Count == 0)
        {
            throw failure!;
        }

        var key = await Task.Run(() => RoomKey.Of(room, settings.Secret), cancellationToken).ConfigureAwait(false);

        // First, because only a few are told to the peer.
        hosts = [.. await mapping.ConfigureAwait(false), .. hosts];
        return [.. found.Select(it => (it.Server, settings.ToPlan(it.Addresses, key, hosts, stays)))];
    }
}
