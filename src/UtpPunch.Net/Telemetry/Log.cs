using System.Net;
using Microsoft.Extensions.Logging;

namespace UtpPunch;

/// <summary>The messages of the category "UtpPunch.Net". Their ids stay as they are; docs/telemetry.md lists them.</summary>
internal static partial class Log
{
    public const string Category = "UtpPunch.Net";

    [LoggerMessage(1, LogLevel.Debug, "Node {LocalEndPoint} is bound")]
    public static partial void NodeBound(this ILogger logger, IPEndPoint localEndPoint);

    [LoggerMessage(2, LogLevel.Debug, "Node {LocalEndPoint} is closed")]
    public static partial void NodeClosed(this ILogger logger, IPEndPoint localEndPoint);

    [LoggerMessage(3, LogLevel.Error, "Node {LocalEndPoint} has failed")]
    public static partial void NodeFailed(this ILogger logger, Exception? error, IPEndPoint localEndPoint);

    [LoggerMessage(10, LogLevel.Debug, "Stream {ConnectionId} with {RemoteEndPoint} is open; opened by the peer: {IsIncoming}")]
    public static partial void StreamOpened(this ILogger logger, ushort connectionId, IPEndPoint remoteEndPoint, bool isIncoming);

    [LoggerMessage(
        11,
        LogLevel.Debug,
        "Stream {ConnectionId} with {RemoteEndPoint} has ended after {Seconds} s: {BytesReceived} bytes received, {BytesAcknowledged} acknowledged")]
    public static partial void StreamEnded(
        this ILogger logger, ushort connectionId, IPEndPoint remoteEndPoint, double seconds, long bytesReceived, long bytesAcknowledged);

    [LoggerMessage(
        12,
        LogLevel.Information,
        "Stream {ConnectionId} with {RemoteEndPoint} has failed after {Seconds} s, {Retransmissions} retransmissions: {Error}. {Reason}")]
    public static partial void StreamFailed(
        this ILogger logger, ushort connectionId, IPEndPoint remoteEndPoint, double seconds, long retransmissions, UtpError error, string reason);

    [LoggerMessage(13, LogLevel.Information, "Stream {ConnectionId} has lost its path to {RemoteEndPoint}")]
    public static partial void PathLost(this ILogger logger, ushort connectionId, IPEndPoint remoteEndPoint);

    [LoggerMessage(14, LogLevel.Information, "Stream {ConnectionId} goes on to {RemoteEndPoint}")]
    public static partial void PathChanged(this ILogger logger, ushort connectionId, IPEndPoint remoteEndPoint);

    [LoggerMessage(15, LogLevel.Debug, "Connecting to {RemoteEndPoint} has failed: {Error}. {Reason}")]
    public static partial void ConnectFailed(this ILogger logger, IPEndPoint remoteEndPoint, UtpError error, string reason);

    [LoggerMessage(
        20, LogLevel.Error, "The handler of datagrams has failed for one from {RemoteEndPoint}; {Suppressed} failures since the last message")]
    public static partial void DatagramHandlerFailed(this ILogger logger, Exception error, IPEndPoint remoteEndPoint, long suppressed);

    [LoggerMessage(
        21, LogLevel.Error, "The listener's filter has failed for {RemoteEndPoint}, refused; {Suppressed} failures since the last message")]
    public static partial void FilterFailed(this ILogger logger, Exception error, IPEndPoint remoteEndPoint, long suppressed);

    [LoggerMessage(
        22, LogLevel.Error, "The handler of PathChanged has failed for {RemoteEndPoint}; {Suppressed} failures since the last message")]
    public static partial void PathHandlerFailed(this ILogger logger, Exception error, IPEndPoint remoteEndPoint, long suppressed);

    [LoggerMessage(23, LogLevel.Error, "The progress of a punch has failed in its handler; {Suppressed} failures since the last message")]
    public static partial void ProgressFailed(this ILogger logger, Exception error, long suppressed);

    [LoggerMessage(
        24, LogLevel.Error, "The handler of UtpPortMapping.Changed has failed for {ExternalEndPoint}; {Suppressed} failures since the last message")]
    public static partial void MappingHandlerFailed(this ILogger logger, Exception error, IPEndPoint externalEndPoint, long suppressed);

    [LoggerMessage(30, LogLevel.Information, "A punch has found a path to {RemoteEndPoint} after {Seconds} s")]
    public static partial void Punched(this ILogger logger, IPEndPoint remoteEndPoint, double seconds);

    [LoggerMessage(31, LogLevel.Information, "A punch has found no path after {Seconds} s: {Sent} packets sent, {Heard} heard")]
    public static partial void PunchFailed(this ILogger logger, double seconds, int sent, int heard);

    [LoggerMessage(32, LogLevel.Information, "A peer of a room has opened no stream over the path to {RemoteEndPoint}: {Error}. {Reason}")]
    public static partial void PeerFailed(this ILogger logger, IPEndPoint remoteEndPoint, UtpError error, string reason);

    [LoggerMessage(
        33,
        LogLevel.Warning,
        "The stream of a peer of a room at {RemoteEndPoint} is reset: the application takes none; {Suppressed} messages suppressed since the last")]
    public static partial void RoomStreamDropped(this ILogger logger, IPEndPoint remoteEndPoint, long suppressed);

    [LoggerMessage(40, LogLevel.Debug, "Rendezvous server {LocalEndPoints} is bound")]
    public static partial void RendezvousBound(this ILogger logger, string localEndPoints);

    [LoggerMessage(
        41,
        LogLevel.Debug,
        "Rendezvous server {LocalEndPoints} has stopped: {Introduced} pairs introduced, {Waiting} peers left, {Dropped} datagrams refused")]
    public static partial void RendezvousClosed(
        this ILogger logger, string localEndPoints, long introduced, int waiting, long dropped);

    [LoggerMessage(42, LogLevel.Error, "Rendezvous server {LocalEndPoints} has failed")]
    public static partial void RendezvousFailed(this ILogger logger, Exception error, string localEndPoints);

    [LoggerMessage(43, LogLevel.Warning, "Too many datagrams: {Unproven} without a valid cookie and {Proven} with one are refused since the last message")]
    public static partial void RendezvousFlooded(this ILogger logger, long unproven, long proven);

    [LoggerMessage(44, LogLevel.Warning, "Too many registrations: {OfSource} beyond the limit of a source and {InRoom} of a room are refused since the last message")]
    public static partial void RegistrationsRefused(this ILogger logger, long ofSource, long inRoom);

    [LoggerMessage(45, LogLevel.Warning, "The server is full: {Refused} registrations are refused since the last message")]
    public static partial void RendezvousFull(this ILogger logger, long refused);

    [LoggerMessage(46, LogLevel.Debug, "{Invalid} datagrams that are not valid are dropped since the last message")]
    public static partial void InvalidDatagrams(this ILogger logger, long invalid);
}
