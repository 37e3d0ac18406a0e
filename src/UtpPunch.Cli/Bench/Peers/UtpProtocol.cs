using System.Net;

namespace UtpPunch.Cli.Bench;

/// <summary>UtpPunch, with all streams on one node.</summary>
internal sealed class UtpProtocol : StreamProtocol
{
    private const int Backlog = 1024;

    private readonly TelemetryListeners? _listeners;
    private readonly UtpNode _node;
    private UtpListener? _listener;

    /// <param name="local">The address of the node.</param>
    /// <param name="packetSize">0 for the default.</param>
    /// <param name="congestion">The name of the congestion control; <see langword="null"/> for the default.</param>
    /// <param name="isRecorded">Whether the node records a trace with hashes of payloads.</param>
    /// <param name="isListened">Whether all telemetry has a listener.</param>
    public UtpProtocol(IPAddress local, int packetSize, string? congestion, bool isRecorded, bool isListened)
    {
        _listeners = isListened ? new TelemetryListeners() : null;
        _node = Bind(local, packetSize, congestion, isRecorded, _listeners);
    }

    public override int Listen()
    {
        _listener = _node.Listen(new UtpListenOptions { Backlog = Backlog });
        return _node.LocalEndPoint.Port;
    }

    public override async ValueTask<Stream> AcceptAsync(CancellationToken cancellationToken) => await _listener!.AcceptAsync(cancellationToken);

    public override async ValueTask<Stream> DialAsync(IPEndPoint target) => await _node.ConnectAsync(target);

    public override void Finish(Stream stream) => ((UtpStream)stream).CompleteWrites();

    public override async ValueTask DisposeAsync()
    {
        await _node.DisposeAsync();
        if (_listeners is { } listeners)
        {
            listeners.Dispose();
            if (listeners.Told == 0)
            {
                throw new InvalidDataException("the listeners were told nothing");
            }
        }
    }

    private static UtpNode Bind(
        IPAddress local, int packetSize, string? congestion, bool isRecorded, TelemetryListeners? listeners) => UtpNode.Bind(new UtpNodeOptions
        {
            LoggerFactory = listeners,
            SocketMode = SocketModeVariable.Read(),
            LocalEndPoint = new IPEndPoint(local, 0),
            CongestionControl = congestion is not null && UtpCongestionControl.TryGet(congestion, out var kind) ? kind : UtpCongestionControl.Bbr,
            PacketSize = packetSize == 0 ? null : packetSize,
            Trace = isRecorded ? new UtpTraceOptions() : null,
        });
}
