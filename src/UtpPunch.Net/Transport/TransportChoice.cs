using System.Net;
using System.Net.Sockets;

namespace UtpPunch;

/// <summary>Makes the transport that the options name: the application's own, or one over a socket, by default the fastest that works.</summary>
internal static class TransportChoice
{
    /// <summary>The switch that makes <see cref="UtpSocketMode.Automatic"/> mean <see cref="UtpSocketMode.Managed"/>.</summary>
    public const string ManagedSwitch = "UtpPunch.Net.UseManagedSockets";

    /// <param name="options">The address to bind, the sizes of the socket's buffers, and the transport.</param>
    /// <param name="calls">The kernel's by default.</param>
    /// <exception cref="SocketException">The address is in use, is not one of this machine, or may not be used.</exception>
    /// <exception cref="PlatformNotSupportedException">The transport that was asked for does not work here.</exception>
    public static IDatagramTransport Bind(UtpNodeOptions options, LinuxCalls? calls = null)
    {
        return options.TransportFactory is { } factory
            ? new CustomTransport(factory, [options.LocalEndPoint], options.SocketReceiveBufferSize)
            : Bind([options.LocalEndPoint], options.SocketReceiveBufferSize, options.SocketSendBufferSize, options.SocketMode, calls, options.Dscp);
    }

    /// <param name="locals">The addresses to bind; the numbers of the sockets (<see cref="Protocol.Endpoint.Via"/>) are in their order.</param>
    /// <param name="receiveBuffer">The size of each socket's buffer.</param>
    /// <param name="sendBuffer">The size of each socket's buffer.</param>
    /// <param name="wanted">The transport.</param>
    /// <param name="calls">The kernel's by default.</param>
    /// <param name="codePoint">The differentiated services code point.</param>
    /// <exception cref="SocketException">An address is in use, is not one of this machine, or may not be used.</exception>
    /// <exception cref="PlatformNotSupportedException">The transport that was asked for does not work here.</exception>
    public static IDatagramTransport Bind(
        IReadOnlyList<IPEndPoint> locals, int receiveBuffer, int sendBuffer, UtpSocketMode wanted, LinuxCalls? calls = null, int codePoint = 0)
    {
        calls ??= LinuxCalls.Kernel;
        var usesLinux = UsesLinux(wanted, calls);
        var sockets = new List<Socket>();
        try
        {
            foreach (var local in locals)
            {
                sockets.Add(SocketFactory.Bind(local, receiveBuffer, sendBuffer, codePoint));
            }

            return usesLinux ? new LinuxTransport(sockets, calls) : new ManagedTransport(sockets, OperatingSystem.IsLinux());
        }
        catch
        {
            sockets.ForEach(socket => socket.Dispose());
            throw;
        }
    }

    private static bool UsesLinux(UtpSocketMode wanted, LinuxCalls calls)
    {
        var isAutomatic = wanted == UtpSocketMode.Automatic;
        if (isAutomatic && AppContext.TryGetSwitch(ManagedSwitch, out var isManaged) && isManaged)
        {
            wanted = UtpSocketMode.Managed;
        }

        if (wanted == UtpSocketMode.Managed)
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
