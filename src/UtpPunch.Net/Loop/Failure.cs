using System.Globalization;
using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>The cause of a failure, kept as data: each call that fails for it throws an exception of its own.</summary>
internal sealed record Failure(UtpError Error, string Message, IPEndPoint? Remote = null, SocketError? SocketError = null, Exception? Cause = null)
{
    /// <summary>The error code of the peer's application.</summary>
    public long? ApplicationErrorCode { get; init; }

    /// <summary>The punch that found no path.</summary>
    public UtpPunchResult? Punch { get; init; }

    // As with NetworkStream, whose exceptions are classified by their inner SocketException.
    public UtpException ToException() =>
        new(Error, Message, Remote, SocketError, Cause ?? (SocketError is { } code ? new SocketException((int)code) : null))
        {
            ApplicationErrorCode = ApplicationErrorCode,
            Punch = Punch,
        };

    /// <summary>The failure for the reason with which the core closed a stream; null when it ended in order.</summary>
    /// <param name="reason">The reason.</param>
    /// <param name="remote">The peer.</param>
    /// <param name="age">How long the stream has existed.</param>
    /// <param name="errorCode">That of the peer's application, if there is one.</param>
    public static Failure? Of(CloseReason reason, IPEndPoint remote, TimeSpan age, uint? errorCode)
    {
        var after = $" after {InWords(age)}";
        return reason.Tag switch
        {
            CloseReason.Tags.Finished => null,
            CloseReason.Tags.Aborted => Aborted(remote),
            CloseReason.Tags.Released => Released(remote),
            CloseReason.Tags.ConnectTimeout => Make(
                UtpError.ConnectTimeout, $"{remote} did not answer{after}.", System.Net.Sockets.SocketError.TimedOut),
            CloseReason.Tags.Refused => Make(
                UtpError.ConnectionRefused, $"{remote} refused the connection{after}.", System.Net.Sockets.SocketError.ConnectionRefused),
            CloseReason.Tags.Reset => Reset(remote, after, errorCode),
            CloseReason.Tags.TimedOut => Make(
                UtpError.AcknowledgementTimeout,
                $"{remote} stopped acknowledging; the connection was given up{after}.",
                System.Net.Sockets.SocketError.TimedOut),
            CloseReason.Tags.IdleTimeout => Make(
                UtpError.IdleTimeout,
                $"{remote} fell silent; the connection was given up{after}.",
                System.Net.Sockets.SocketError.TimedOut),
            CloseReason.Tags.Unreachable => Unreachable(remote),
            CloseReason.Tags.TooManyConnections => Make(
                UtpError.TooManyConnections, $"No connection to {remote}: the node already has as many as it may have.", null),
            _ => throw new InvalidOperationException($"Unknown reason {reason.Tag}."),
        };

        Failure Make(UtpError error, string message, SocketError? socketError) => new(error, message, remote, socketError);
    }

    private static Failure Reset(IPEndPoint remote, string after, uint? errorCode)
    {
        var with = errorCode is { } code ? string.Create(CultureInfo.InvariantCulture, $" with the error code {code}") : "";
        var message = $"{remote} reset the connection{with}{after}.";
        return new Failure(UtpError.ConnectionReset, message, remote, System.Net.Sockets.SocketError.ConnectionReset)
        {
            ApplicationErrorCode = errorCode,
        };
    }

    public static Failure Released(IPEndPoint remote) =>
        new(UtpError.Aborted,
            $"The connection with {remote} was disposed on this side before the peer had ended it.",
            remote,
            System.Net.Sockets.SocketError.OperationAborted);

    public static Failure Aborted(IPEndPoint remote) =>
        new(UtpError.Aborted, $"The connection with {remote} was aborted on this side.", remote, System.Net.Sockets.SocketError.OperationAborted);

    public static Failure NodeClosed(IPEndPoint? remote = null) =>
        new(UtpError.NodeClosed,
            remote is null ? "The node was closed." : $"The node was closed, and with it the connection with {remote}.",
            remote,
            System.Net.Sockets.SocketError.OperationAborted);

    public static Failure Unreachable(IPEndPoint remote) =>
        new(UtpError.NetworkUnreachable, $"The network has no way to {remote}.", remote, System.Net.Sockets.SocketError.NetworkUnreachable);

    /// <summary>Why the system did not send a datagram.</summary>
    public static Failure NotSent(IPEndPoint remote, int length, SocketException cause)
    {
        var why = cause.SocketErrorCode;
        return why.IsNoWay() ? Unreachable(remote) with { SocketError = why, Cause = cause }
            : why == System.Net.Sockets.SocketError.MessageSize ? new(
                UtpError.DatagramTooLong, $"A datagram of {length} bytes is longer than the system sends to {remote}.", remote, why, cause)
            : new(UtpError.DatagramNotSent, $"The system would not send a datagram to {remote}: {cause.Message}.", remote, why, cause);
    }

    /// <summary>The failure of a punch that found no path.</summary>
    public static Failure Of(UtpPunchResult result) => new(ErrorOf(result.Stage), result.Explanation, result.PeerObservedEndPoint)
    {
        Punch = result,
    };

    /// <summary>The error of a punch that has ended at that stage.</summary>
    public static UtpError ErrorOf(UtpPunchStage stage) => stage switch
    {
        UtpPunchStage.ServerSilent => UtpError.RendezvousUnreachable,
        UtpPunchStage.ServerFull => UtpError.RendezvousFull,
        UtpPunchStage.RoomFull => UtpError.RoomFull,
        UtpPunchStage.NoPeer => UtpError.PeerNotFound,
        UtpPunchStage.Rejected => UtpError.OfferNotAuthentic,
        UtpPunchStage.TooManyPunches => UtpError.TooManyPunches,
        _ => UtpError.PunchFailed,
    };

    /// <summary>The failure of a discovery.</summary>
    public static Failure Of(StunFailure failure, EndPoint server)
    {
        // DnsEndPoint.ToString() begins with "Unspecified/".
        var name = server is DnsEndPoint { Host: var host, Port: var port } ? $"{host}:{port}" : $"{server}";
        var message = failure switch
        {
            StunFailure.NoAnswer none => $"The STUN server {name} did not answer in {InWords(Clock.ToTimeSpan(none.after))}.",
            StunFailure.Refused refused => $"The STUN server {name} refused with {refused.code} ({refused.reason}).",
            _ => $"The answer of {name} is not STUN.",
        };
        return new Failure(UtpError.DiscoveryFailed, message, server as IPEndPoint);
    }

    /// <summary>The peer, which was to open the stream, did not.</summary>
    public static Failure NotOpened(IPEndPoint remote, TimeSpan age) => new(
        UtpError.ConnectTimeout,
        $"{remote} opened no stream over the punched path in {InWords(age)}.",
        remote,
        System.Net.Sockets.SocketError.TimedOut);

    /// <summary>The node has failed: by a fault in this library, or because its socket was closed.</summary>
    public static Failure Fault(Exception cause)
    {
        var why = cause is ObjectDisposedException or SocketException { SocketErrorCode: System.Net.Sockets.SocketError.NotSocket }
            ? "its socket was closed."
            : cause.Message;
        return new(UtpError.InternalError, $"The node broke down: {why}", null, null, cause);
    }

    public static UtpException TimedOut(string operation, int milliseconds, IPEndPoint remote) =>
        new(UtpError.OperationTimeout,
            $"The {operation} took longer than {milliseconds} ms ({remote}).",
            remote,
            System.Net.Sockets.SocketError.TimedOut,
            new SocketException((int)System.Net.Sockets.SocketError.TimedOut));

    public static string InWords(TimeSpan age) =>
        age < TimeSpan.FromSeconds(1)
            ? string.Create(CultureInfo.InvariantCulture, $"{age.TotalMilliseconds:F0} ms")
            : string.Create(CultureInfo.InvariantCulture, $"{age.TotalSeconds:F1} s");
}
