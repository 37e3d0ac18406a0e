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
        calls ??= LinuxCalls.Kernel;
        var usesLinux = UsesLinux(options.Transport, calls);
        var socket = SocketFactory.Bind(options.LocalEndPoint, options.SocketReceiveBuffer, options.SocketSendBuffer);
        try
        {
            return usesLinux ? new LinuxTransport(socket, calls) : new ManagedTransport(socket, OperatingSystem.IsLinux());
        }
        catch
        {
            socket.Dispose();
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
