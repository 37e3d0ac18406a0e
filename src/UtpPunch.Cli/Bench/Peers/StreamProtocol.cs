using System.Net;

namespace UtpPunch.Cli.Bench;

/// <summary>Carries streams, over the loopback unless the role names other addresses. The roles are the same for UtpPunch and TCP.</summary>
internal abstract class StreamProtocol : IAsyncDisposable
{
    /// <summary>The protocol of a role: `protocol=utp|tcp [ip=] [packet=] [recorded=1] [listened=1] [congestion=]`.</summary>
    public static StreamProtocol Of(RoleArguments words) => words["protocol"] == "tcp"
        ? new TcpProtocol(AddressOf(words, "ip"), words.Text("congestion"))
        : new UtpProtocol(
            AddressOf(words, "ip"), words.Number("packet"), words.Text("congestion"), words.Number("recorded") > 0, words.Number("listened") > 0);

    /// <summary>The address that a role dials: `port= [host=]`.</summary>
    public static IPEndPoint TargetOf(RoleArguments words) => new(AddressOf(words, "host"), words.Number("port"));

    /// <summary>Listens on a port of its own address; the port.</summary>
    public abstract int Listen();

    public abstract ValueTask<Stream> AcceptAsync(CancellationToken cancellationToken);

    public abstract ValueTask<Stream> DialAsync(IPEndPoint target);

    /// <summary>Ends the writing direction.</summary>
    public abstract void Finish(Stream stream);

    public abstract ValueTask DisposeAsync();

    private static IPAddress AddressOf(RoleArguments words, string name) =>
        words.Text(name) is { } text ? IPAddress.Parse(text) : IPAddress.Loopback;
}
