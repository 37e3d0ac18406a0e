using System.Net;

namespace UtpPunch.Cli.Bench;

/// <summary>Carries streams over the loopback. The roles are the same for UtpPunch and TCP.</summary>
internal abstract class StreamProtocol : IAsyncDisposable
{
    /// <summary>The protocol of a role: `protocol=utp|tcp [packet=] [recorded=1]`.</summary>
    public static StreamProtocol Of(RoleArguments words) => words["protocol"] == "tcp"
        ? new TcpProtocol()
        : new UtpProtocol(words.Number("packet"), words.Number("recorded") > 0);

    /// <summary>The address that a role dials.</summary>
    public static IPEndPoint TargetOf(RoleArguments words) => new(IPAddress.Loopback, words.Number("port"));

    /// <summary>Listens on a port of the loopback; the port.</summary>
    public abstract int Listen();

    public abstract ValueTask<Stream> AcceptAsync(CancellationToken cancellationToken);

    public abstract ValueTask<Stream> DialAsync(IPEndPoint target);

    /// <summary>Ends the writing direction.</summary>
    public abstract void Finish(Stream stream);

    public abstract ValueTask DisposeAsync();
}
