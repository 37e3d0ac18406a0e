namespace UtpPunch;

/// <summary>How a node uses its socket. All transports carry the same datagrams. They differ in their cost.</summary>
public enum UtpTransport
{
    /// <summary>The fastest transport that works in this process; or the one that the environment variable <c>UTP_TRANSPORT</c> names,
    /// <c>linux</c> or <c>managed</c>.</summary>
    Automatic,

    /// <summary>System calls of Linux that carry many datagrams at once (UDP_SEGMENT, UDP_GRO), and the kernel's time stamps.</summary>
    Linux,

    /// <summary>One system call for each datagram, on any system.</summary>
    Managed,
}
