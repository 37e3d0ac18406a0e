using System.Net;
using System.Net.Sockets;

namespace UtpPunch;

/// <summary>Binds a socket and makes the transport over it that the options name, or the fastest one that works.</summary>
internal static class TransportChoice
{
    /// <summary>Names the transport that <see cref="UtpTransport.Automatic"/> takes: <c>linux</c> or <c>managed</c>.</summary>
    public const string Variable = "UTP_TRANSPORT";

    /// <param name="options">The address to bind, the sizes of the socket's buffers, and the transport.</param>
    /// <param name="calls">The kernel's by default.</param>
    /// <exception cref="SocketException">The address is in use, is not one of this machine, or may not be used.</exception>
    /// <exception cref="PlatformNotSupportedException">The transport that was asked for does not work here.</exception>
    public static IDatagramTransport Bind(UtpNodeOptions options, LinuxCalls? calls = null)
    {
        return Bind([options.LocalEndPoint], options.SocketReceiveBuffer, options.SocketSendBuffer, options.Transport, calls);
    }

    /// <param name="locals">The addresses to bind; the numbers of the sockets (<see cref="Protocol.Endpoint.Via"/>) are in their order.</param>
    /// <param name="receiveBuffer">The size of each socket's buffer.</param>
    /// <param name="sendBuffer">The size of each socket's buffer.</param>
    /// <param name="wanted">The transport.</param>
    /// <param name="calls">The kernel's by default.</param>
    /// <exception cref="SocketException">An address is in use, is not one of this machine, or may not be used.</exception>
    /// <exception cref="PlatformNotSupportedException">The transport that was asked for does not work here.</exception>
    public static IDatagramTransport Bind(
        IReadOnlyList<IPEndPoint> locals, int receiveBuffer, int sendBuffer, UtpTransport wanted, LinuxCalls? calls = null)
    {
        calls ??= LinuxCalls.Kernel;
        var usesLinux = UsesLinux(wanted, calls);
        var sockets = new List<Socket>();
        try
        {
            foreach (var local in locals)
            {
                sockets.Add(SocketFactory.Bind(local, receiveBuffer, sendBuffer));
            }

            return usesLinux ? new LinuxTransport(sockets, calls) : new ManagedTransport(sockets, OperatingSystem.IsLinux());
        }
        catch
        {
            sockets.ForEach(socket => socket.Dispose());
            throw;
        }
    }

    private static bool UsesLinux(UtpTransport wanted, LinuxCalls calls)
    {
        var isAutomatic = wanted == UtpTransport.Automatic;
        if (isAutomatic)
        {
            var variable = Environment.GetEnvironmentVariable(Variable);
            isAutomatic = variable is not "linux";
            wanted = variable is "managed" ? UtpTransport.Managed : UtpTransport.Linux;
        }

        if (wanted == UtpTransport.Managed)
        {
            return false;
        }

        var obstacle = !LinuxTransport.IsSupported ? "it needs Linux on a 64-bit processor"
            : calls.FindRefused() is { } call ? $"the system refuses this process the call {call}"
            : null;
        return obstacle is null
            || (isAutomatic ? false : throw new PlatformNotSupportedException($"The Linux transport does not work here: {obstacle}."));
    }
}
