using System.Net;
using System.Net.Sockets;

namespace UtpPunch;

/// <summary>
/// The exception for errors of streams, nodes and the network. It is an <see cref="IOException"/>, as users of a <see cref="Stream"/>
/// expect; <see cref="Error"/> tells the errors apart.
/// </summary>
/// <example><code>
/// try
/// {
///     await using var stream = await node.ConnectAsync("host.example", 9000);
/// }
/// catch (UtpException error) when (error.Error is UtpError.ConnectTimeout or UtpError.ConnectionRefused)
/// {
///     Console.Error.WriteLine($"{error.RemoteEndPoint}: {error.Message}");
/// }
/// </code></example>
public sealed class UtpException : IOException
{
    /// <summary>Creates an exception.</summary>
    /// <param name="error">The error.</param>
    /// <param name="message">The message: what has happened, with which peer, after how long.</param>
    /// <param name="remoteEndPoint">The peer; <see langword="null"/> if no single peer is concerned.</param>
    /// <param name="socketError">The error code of the system, if there is one.</param>
    /// <param name="innerException">The cause, if there is one.</param>
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

    /// <summary>Gets the error.</summary>
    public UtpError Error { get; }

    /// <summary>Gets the address of the peer; <see langword="null"/> if no single peer is concerned.</summary>
    public IPEndPoint? RemoteEndPoint { get; }

    /// <summary>Gets the error code of the system, or that of the same error with TCP; <see langword="null"/> if there is none.</summary>
    public SocketError? SocketError { get; }

    /// <summary>Gets the error code with which the application of the peer has aborted the stream (<see cref="UtpStream.Abort(long)"/>), from 0 to
    /// 4294967295; <see langword="null"/> if it gave none, or another error has occurred. What a code means is up to the applications.</summary>
    /// <value>The default is <see langword="null"/>. Present only with <see cref="UtpError.ConnectionReset"/>.</value>
    public long? ApplicationErrorCode { get; init; }

    /// <summary>Gets the result of the punch that has failed: the stage, what the NATs do, how many packets came.</summary>
    /// <value>The default is <see langword="null"/>: the error is not that of a punch.</value>
    public UtpPunchResult? Punch { get; init; }
}
