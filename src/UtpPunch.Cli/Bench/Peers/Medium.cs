using System.Net;

namespace UtpPunch.Cli.Bench;

/// <summary>Something that carries streams over the loopback: the roles are the same for UtpPunch and for TCP.</summary>
internal abstract class Medium : IAsyncDisposable
{
    /// <summary>The one that a role was told to use: `medium=utp|tcp [packet=] [recorded=1]`.</summary>
    public static Medium Of(RoleArguments words) => words["medium"] == "tcp"
        ? new TcpMedium()
        : new UtpMedium(words.Number("packet"), words.Number("recorded") > 0);

    /// <summary>Where a role was told to dial.</summary>
    public static IPEndPoint TargetOf(RoleArguments words) => new(IPAddress.Loopback, words.Number("port"));

    /// <summary>Listens on a port of the loopback, which it gives.</summary>
    public abstract int Listen();

    public abstract ValueTask<Stream> AcceptAsync(CancellationToken cancellationToken);

    public abstract ValueTask<Stream> DialAsync(IPEndPoint target);

    /// <summary>Ends the direction in which we write.</summary>
    public abstract void Finish(Stream stream);

    public abstract ValueTask DisposeAsync();
}
