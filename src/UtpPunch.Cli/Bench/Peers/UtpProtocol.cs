using System.Net;

namespace UtpPunch.Cli.Bench;

/// <summary>UtpPunch, with all streams on one node.</summary>
/// <param name="local">The address of the node.</param>
/// <param name="packetSize">0 for the default.</param>
/// <param name="congestion">The name of the congestion control; <see langword="null"/> for the default.</param>
/// <param name="isRecorded">Whether the node records a trace with hashes of payloads.</param>
internal sealed class UtpProtocol(IPAddress local, int packetSize, string? congestion, bool isRecorded) : StreamProtocol
{
    private const int Backlog = 1024;

    private readonly UtpNode _node = Bind(local, packetSize, congestion, isRecorded);
    private UtpListener? _listener;

    public override int Listen()
    {
        _listener = _node.Listen(new UtpListenOptions { Backlog = Backlog });
        return _node.LocalEndPoint.Port;
    }

    public override async ValueTask<Stream> AcceptAsync(CancellationToken cancellationToken) => await _listener!.AcceptAsync(cancellationToken);

    public override async ValueTask<Stream> DialAsync(IPEndPoint target) => await _node.ConnectAsync(target);

    public override void Finish(Stream stream) => ((UtpStream)stream).CompleteWrites();

    public override ValueTask DisposeAsync() => _node.DisposeAsync();

    // A constructor cannot await; Bind completes synchronously.
    private static UtpNode Bind(IPAddress local, int packetSize, string? congestion, bool isRecorded) => UtpNode.BindAsync(new UtpNodeOptions
    {
        LocalEndPoint = new IPEndPoint(local, 0),
        CongestionControl = congestion is null ? UtpCongestionControl.Bbr : UtpCongestionControl.Find(congestion)!,
        PacketSize = packetSize == 0 ? null : packetSize,
        Trace = isRecorded ? new UtpTraceOptions() : null,
    }).AsTask().GetAwaiter().GetResult();
}
