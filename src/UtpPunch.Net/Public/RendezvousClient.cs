using System.Net;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// Meets peers at a rendezvous server, which introduces those who ask for the same room and relays nothing. A view of a node: its streams
/// go on meanwhile, and any number of meetings may run at once.
/// </summary>
public sealed class RendezvousClient
{
    private readonly UtpNode _node;
    private readonly EndPoint _server;

    /// <summary>Says where the server is. Nothing is sent yet.</summary>
    /// <param name="node">Whose port is punched.</param>
    /// <param name="server">An <see cref="IPEndPoint"/>, or a <see cref="DnsEndPoint"/> whose first address is taken.</param>
    public RendezvousClient(UtpNode node, EndPoint server)
    {
        ArgumentNullException.ThrowIfNull(node);
        ArgumentNullException.ThrowIfNull(server);
        _node = node;
        _server = server;
    }

    /// <summary>
    /// Waits for the other peer of a room, punches, and opens a stream: the one call for two machines behind NATs. Both sides make it; one
    /// of them dials and the other one accepts, and the node need not listen.
    /// </summary>
    /// <param name="room">The name of the room, of at least one character.</param>
    /// <param name="options">Null stands for the defaults.</param>
    /// <param name="cancellationToken">Calls it off.</param>
    /// <exception cref="ArgumentException">The room has no name, or an option makes no sense.</exception>
    /// <exception cref="UtpException"><see cref="UtpError.RendezvousUnreachable"/>, <see cref="UtpError.RendezvousFull"/>,
    /// <see cref="UtpError.PeerNotFound"/> or <see cref="UtpError.PunchFailed"/>, with the reason in words; and whatever a connect may
    /// throw.</exception>
    /// <exception cref="ObjectDisposedException">The node was closed.</exception>
    /// <exception cref="OperationCanceledException">It was called off.</exception>
    public async ValueTask<UtpStream> ConnectAsync(string room, UtpMeetOptions? options = null, CancellationToken cancellationToken = default)
    {
        var path = await PunchAsync(room, options, null, cancellationToken).ConfigureAwait(false);
        return path.Success
            ? await _node.OpenAsync(path, cancellationToken).ConfigureAwait(false)
            : throw Failure.Of(path).ToException();
    }

    /// <summary>Waits for the other peer of a room, and punches. <see cref="UtpNode.OpenAsync"/> makes a stream of the result.</summary>
    /// <param name="room">The name of the room, of at least one character.</param>
    /// <param name="options">Null stands for the defaults.</param>
    /// <param name="progress">Is told when the server has us on its list, and when there is a peer; in this order, and before the result.</param>
    /// <param name="cancellationToken">Calls it off.</param>
    /// <returns>What came of it; failing is no exception.</returns>
    /// <exception cref="ArgumentException">The room has no name, or an option makes no sense.</exception>
    /// <exception cref="UtpException">The server's name has no address; the node was closed meanwhile, or broke down.</exception>
    /// <exception cref="ObjectDisposedException">The node was closed.</exception>
    /// <exception cref="OperationCanceledException">It was called off.</exception>
    public async ValueTask<PunchResult> PunchAsync(
        string room,
        UtpMeetOptions? options = null,
        IProgress<MeetProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        var plan = await PlanAsync(room, options ?? new UtpMeetOptions(), stays: false, cancellationToken).ConfigureAwait(false);
        var work = new MeetCommand(
            taskId => Event.NewMeet(taskId, plan), isLegacy: false, progress is null ? null : progress.Report);
        return await _node.RunAsync(work, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// Stays in a room, punches with every peer that comes, and opens a stream with each: a service that many find by the room's name.
    /// Peers that could not be reached are passed over; they learn why. Ends when it is cancelled.
    /// </summary>
    /// <param name="room">The name of the room, of at least one character.</param>
    /// <param name="options">Null stands for the defaults; <see cref="UtpMeetOptions.Timeout"/> does not count.</param>
    /// <param name="cancellationToken">Leaves the room.</param>
    /// <exception cref="ArgumentException">The room has no name, or an option makes no sense.</exception>
    /// <exception cref="UtpException">The server does not answer, or has no room; the node was closed, or broke down.</exception>
    /// <exception cref="ObjectDisposedException">The node was closed.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public async IAsyncEnumerable<UtpStream> AcceptAllAsync(
        string room, UtpMeetOptions? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var plan = await PlanAsync(room, options ?? new UtpMeetOptions(), stays: true, cancellationToken).ConfigureAwait(false);
        var work = new StayCommand(plan);
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

    // Each by itself: a peer that is slow to open its stream holds up nobody.
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
            // This peer is gone again; the others are none of its business.
        }
    }

    private async ValueTask<MeetPlan> PlanAsync(string room, UtpMeetOptions options, bool stays, CancellationToken cancellationToken)
    {
        ArgumentException.ThrowIfNullOrEmpty(room);
        UtpNodeOptionsCheck.Positive(options.Timeout, nameof(options.Timeout), mayBeInfinite: true);
        UtpNodeOptionsCheck.Positive(options.PunchTimeout, nameof(options.PunchTimeout));
        UtpNodeOptionsCheck.Between(options.PrimingHops, 1, 255, nameof(options.PrimingHops));
        var server = await _node.OneAddressAsync(_server, cancellationToken).ConfigureAwait(false);
        var secret = options.Secret;
        var key = await Task.Run(() => RoomKey.Of(room, secret), cancellationToken).ConfigureAwait(false);
        return new MeetPlan(
            server,
            key,
            _node.Hosts(options),
            stays,
            stays ? Time.never : Clock.ToMicroseconds(options.Timeout),
            Clock.ToMicroseconds(options.PunchTimeout),
            options.Birthday,
            options.PrimingHops);
    }
}
