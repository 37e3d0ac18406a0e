namespace UtpPunch.AspNetCore;

/// <summary>The uTP stream of a connection, as a feature of <c>ConnectionContext.Features</c> and <c>HttpContext.Features</c>.</summary>
/// <example><code>
/// app.MapGet("/path", (HttpContext context) =>
///     context.Features.Get&lt;IUtpConnectionFeature&gt;()?.Stream.GetStatistics().RoundTripTime.ToString() ?? "TCP");
/// </code></example>
public interface IUtpConnectionFeature
{
    /// <summary>Gets the stream, for its statistics and events. The server reads, writes and disposes it. When the stream goes on over another path,
    /// <see cref="UtpStream.RemoteEndPoint"/> changes; <c>HttpContext.Connection.RemoteIpAddress</c> keeps the address at which it began.</summary>
    UtpStream Stream { get; }
}
