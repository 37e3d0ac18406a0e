using System.Net;
using System.Net.Sockets;

namespace UtpPunch;

/// <summary>Binds a socket and puts the transport over it that is meant, or the best one.</summary>
internal static class TransportChoice
{
    /// <summary>Says which transport an automatic choice takes: <c>linux</c> or <c>managed</c>.</summary>
    public const string Variable = "UTP_TRANSPORT";

    /// <exception cref="SocketException">The address is taken, is not ours, or may not be used.</exception>
    /// <exception cref="PlatformNotSupportedException">This system cannot have that transport.</exception>
    public static IDatagramTransport Bind(UtpNodeOptions options)
    {
        var kind = Choose(options.Transport);
        if (kind == UtpTransport.Linux && !LinuxTransport.IsSupported)
        {
            throw new PlatformNotSupportedException("The Linux transport needs Linux in 64 bits.");
        }

        var socket = SocketFactory.Bind(options.LocalEndPoint, options.SocketReceiveBuffer, options.SocketSendBuffer);
        try
        {
            return kind == UtpTransport.Linux ? new LinuxTransport(socket) : new ManagedTransport(socket, OperatingSystem.IsLinux());
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static UtpTransport Choose(UtpTransport wanted)
    {
        if (wanted != UtpTransport.Automatic)
        {
            return wanted;
        }

        return Environment.GetEnvironmentVariable(Variable) switch
        {
            "linux" => UtpTransport.Linux,
            "managed" => UtpTransport.Managed,
            _ => LinuxTransport.IsSupported ? UtpTransport.Linux : UtpTransport.Managed,
        };
    }
}
