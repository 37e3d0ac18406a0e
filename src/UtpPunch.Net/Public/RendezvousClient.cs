using System.Net;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// Meets peers at a rendezvous server, which introduces peers that enter the same room and relays no data. It uses the socket of a node,
/// whose streams are not affected. Any number of meetings may take place at the same time.
/// </summary>
public sealed class RendezvousClient
{
    private readonly UtpNode _node;
    private readonly EndPoint _server;

    /// <summary>Creates a client. Nothing is sent yet.</summary>
    /// <param name="node">The node whose socket is used.</param>
    /// <param name="server">An <see cref="IPEndPoint"/>, or a <see cref="DnsEndPoint"/>. All addresses of a name are asked, one after the other (RFC 8305), and the
    /// first that answers is used; while none does, the name is looked up again.</param>
    public RendezvousClient(UtpNode node, EndPoint server)
    {
        ArgumentNullException.ThrowIfNull(node);
        ArgumentNullException.ThrowIfNull(server);
        _node = node;
        _server = server;
    }

    /// <summary>
    /// Waits for the other peer of a room, punches, and opens a stream. Both peers must call it. One of them opens the stream and the other
    /// one accepts it; the node need not listen.
    /// </summary>
    /// <param name="room">The name of the room. It must not be empty.</param>
    /// <param name="options">The options; <see langword="null"/> for the defaults.</param>
    /// <param name="cancellationToken">Ends the meeting.</param>
    /// <exception cref="ArgumentException">The name is empty, or an option is not valid.</exception>
    /// <exception cref="UtpException"><see cref="UtpError.RendezvousUnreachable"/>, <see cref="UtpError.RendezvousFull"/>,
    /// <see cref="UtpError.PeerNotFound"/> or <see cref="UtpError.PunchFailed"/>, whose message tells the reason; or an error of
    /// <see cref="UtpNode.ConnectAsync(EndPoint, UtpConnectOptions?, CancellationToken)"/>.</exception>
    /// <exception cref="ObjectDisposedException">The node was closed.</exception>
    /// <exception cref="OperationCanceledException">The meeting was cancelled.</exception>
    public async ValueTask<UtpStream> ConnectAsync(string room, UtpMeetOptions? options = null, CancellationToken cancellationToken = default)
    {
        var path = await PunchAsync(room, options, null, cancellationToken).ConfigureAwait(false);
        return path.Success
            ? await _node.OpenAsync(path, cancellationToken).ConfigureAwait(false)
            : throw Failure.Of(path).ToException();
    }

    /// <summary>Waits for the other peer of a room, and punches. <see cref="UtpNode.OpenAsync"/> opens a stream over the path.</summary>
    /// <param name="room">The name of the room. It must not be empty.</param>
    /// <param name="options">The options; <see langword="null"/> for the defaults.</param>
    /// <param name="progress">Is told when the node is registered, and when a peer was introduced, in this order and before the result.</param>
    /// <param name="cancellationToken">Ends the meeting.</param>
    /// <returns>The result. A punch that fails does not throw.</returns>
    /// <exception cref="ArgumentException">The name is empty, or an option is not valid.</exception>
    /// <exception cref="UtpException">The name of the server has no address, or the node was closed or has failed.</exception>
    /// <exception cref="ObjectDisposedException">The node was closed.</exception>
    /// <exception cref="OperationCanceledException">The meeting was cancelled.</exception>
    public async ValueTask<PunchResult> PunchAsync(
        string room,
        UtpMeetOptions? options = null,
        IProgress<MeetProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        var plan = await PlanAsync(room, options ?? new UtpMeetOptions(), stays: false, cancellationToken).ConfigureAwait(false);
        var work = new MeetCommand(
            taskId => Event.NewMeet(taskId, plan), isLegacy: false, progress is null ? null : progress.Report, Lookup());
        return await _node.RunAsync(work, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// Stays in a room, and punches and opens a stream with each peer that enters it, until it is cancelled. Peers that cannot be reached are
    /// skipped.
    /// </summary>
    /// <param name="room">The name of the room. It must not be empty.</param>
    /// <param name="options">The options; <see langword="null"/> for the defaults. <see cref="UtpMeetOptions.Timeout"/> is not used.</param>
    /// <param name="cancellationToken">Leaves the room.</param>
    /// <exception cref="ArgumentException">The name is empty, or an option is not valid.</exception>
    /// <exception cref="UtpException">The server does not answer or is full, or the node was closed or has failed.</exception>
    /// <exception cref="ObjectDisposedException">The node was closed.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public async IAsyncEnumerable<UtpStream> AcceptAllAsync(
        string room, UtpMeetOptions? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var plan = await PlanAsync(room, options ?? new UtpMeetOptions(), stays: true, cancellationToken).ConfigureAwait(false);
        var work = new StayCommand(plan, Lookup());
        var streams = Channel.CreateUnbounded<UtpStream>();
        _node.Engine.Post(work);
        var opening = OpenAllAsync(work.Results, streams.Writer, cancellationToken);
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
            work.Leave(_node.Engine);
            streams.Writer.TryComplete();
            while (streams.Reader.TryRead(out var late))
            {
                late.Abort();
            }
        }
    }

    // Side by side: a peer that is slow to open its stream does not delay others.
    private async Task OpenAllAsync(ChannelReader<PunchResult> results, ChannelWriter<UtpStream> streams, CancellationToken cancellationToken)
    {
        try
        {
            await foreach (var path in results.ReadAllAsync(cancellationToken).ConfigureAwait(false))
            {
                if (path.Success)
                {
                    _ = OpenOneAsync(path, streams, cancellationToken);
                }
            }
        }
        catch (Exception error)
        {
            streams.TryComplete(error);
        }
    }

    private async Task OpenOneAsync(PunchResult path, ChannelWriter<UtpStream> streams, CancellationToken cancellationToken)
    {
        try
        {
            var stream = await _node.OpenAsync(path, cancellationToken).ConfigureAwait(false);
            if (!streams.TryWrite(stream))
            {
                stream.Abort();
            }
        }
        catch (Exception error) when (error is UtpException or OperationCanceledException or ObjectDisposedException)
        {
            // This peer has gone. The others are not affected.
        }
    }

    private ServerLookup? Lookup() => _server is DnsEndPoint ? new ServerLookup(() => _node.AddressesAsync(_server, default).AsTask()) : null;

    private async ValueTask<MeetPlan> PlanAsync(string room, UtpMeetOptions options, bool stays, CancellationToken cancellationToken)
    {
        ArgumentException.ThrowIfNullOrEmpty(room);
        var settings = new MeetSettings(options);
        var hosts = _node.Hosts(options);
        var mapping = settings.MapsPort ? _node.MappedAsync(cancellationToken) : Task.FromResult<Endpoint[]>([]);
        var servers = await _node.AddressesAsync(_server, cancellationToken).ConfigureAwait(false);
        var key = await Task.Run(() => RoomKey.Of(room, settings.Secret), cancellationToken).ConfigureAwait(false);
        // First, because only a few are told to the peer.
        hosts = [.. await mapping.ConfigureAwait(false), .. hosts];
        return settings.ToPlan(servers, key, hosts, stays);
    }
}
