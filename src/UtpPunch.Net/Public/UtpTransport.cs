namespace UtpPunch;

/// <summary>How a node uses its socket. All transports carry the same datagrams; they differ in what that costs.</summary>
public enum UtpTransport
{
    /// <summary>The best that the system has; or, where the environment variable <c>UTP_TRANSPORT</c> says <c>linux</c> or
    /// <c>managed</c>, that one.</summary>
    Automatic,

    /// <summary>System calls of Linux that carry many datagrams at once (UDP_SEGMENT, UDP_GRO), and the kernel's time stamps.</summary>
    Linux,

    /// <summary>One call for each datagram, on any system.</summary>
    Managed,
}
