using System.Net;
using System.Net.Sockets;

namespace UtpPunch;

/// <summary>
/// Something went wrong with a stream, with a node, or on the way. As an <see cref="IOException"/> it is what users of a
/// <see cref="Stream"/> expect; <see cref="Error"/> tells the cases apart.
/// </summary>
public sealed class UtpException : IOException
{
    /// <summary>Makes an exception.</summary>
    public UtpException(
        UtpError error,
        string message,
        IPEndPoint? remoteEndPoint = null,
        SocketError? socketError = null,
        Exception? innerException = null)
        : base(message, innerException)
    {
        Error = error;
        RemoteEndPoint = remoteEndPoint;
        SocketError = socketError;
    }

    /// <summary>What went wrong.</summary>
    public UtpError Error { get; }

    /// <summary>With which peer; null when no single peer is concerned.</summary>
    public IPEndPoint? RemoteEndPoint { get; }

    /// <summary>What the system called it, or what it would call the same thing with TCP; null when there is no such word.</summary>
    public SocketError? SocketError { get; }
}
