namespace UtpPunch;

/// <summary>How a node or a server uses its sockets. The datagrams are the same; the cost differs.</summary>
public enum UtpSocketMode
{
    /// <summary>The fastest mode that works in this process. The <see cref="AppContext"/> switch <c>UtpPunch.Net.UseManagedSockets</c>, in
    /// <c>runtimeconfig.json</c> or by <see cref="AppContext.SetSwitch"/>, makes it <see cref="Managed"/>.</summary>
    Automatic = 0,

    /// <summary>System calls of Linux that carry many datagrams at once (UDP_SEGMENT, UDP_GRO), and the kernel's time stamps.</summary>
    Linux = 1,

    /// <summary>One system call for each datagram, on any system.</summary>
    Managed = 2,
}
