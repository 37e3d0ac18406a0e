using System.ComponentModel;
using System.Runtime.InteropServices;

namespace UtpPunch.Attacks.Wire;

/// <summary>System calls for raw packets that .NET does not expose.</summary>
internal static unsafe partial class Kernel
{
    public const int Internet = 2;                              // AF_INET
    public const int Packets = 17;                              // AF_PACKET
    public const int Raw = 3;                                   // SOCK_RAW
    public const int Datagrams = 2;                             // SOCK_DGRAM
    public const int RawProtocol = 255;                         // IPPROTO_RAW: the header of each packet is ours
    public const int Udp = 17;
    public const int Ipv4Frames = 0x0008;                       // ETH_P_IP, big-endian

    private const int SocketLevel = 1;
    private const int SendBufferForce = 32;
    private const int ReceiveBufferForce = 33;
    private const int ReceiveTimeout = 20;

    [StructLayout(LayoutKind.Sequential)]
    public struct Vector
    {
        public byte* Start;
        public nuint Length;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct SocketAddress
    {
        public ushort Family;
        public ushort Port;
        public uint Address;
        public ulong Zero;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct Message
    {
        public SocketAddress* Name;
        public uint NameLength;
        public Vector* Vectors;
        public nuint VectorCount;
        public void* Control;
        public nuint ControlLength;
        public int Flags;
        public uint Sent;
        public uint Padding;
    }

    /// <summary>A socket in the namespace of the calling thread, with large buffers, whose receive calls return after 50 ms.</summary>
    public static int Open(int family, int type, int protocol)
    {
        var descriptor = OpenSocket(family, type, protocol);
        if (descriptor < 0)
        {
            throw new IOException($"a raw socket: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}");
        }

        var size = 16 << 20;
        _ = SetOption(descriptor, SocketLevel, SendBufferForce, &size, sizeof(int));
        _ = SetOption(descriptor, SocketLevel, ReceiveBufferForce, &size, sizeof(int));
        var timeout = stackalloc long[2] { 0, 50_000 };
        _ = SetOption(descriptor, SocketLevel, ReceiveTimeout, timeout, 16);
        return descriptor;
    }

    /// <summary>Sends messages; how many.</summary>
    public static int Send(int descriptor, Message* messages, int count) => SendMessages(descriptor, messages, (uint)count, 0);

    /// <summary>Receives one packet; at most 0 if there is none.</summary>
    public static int Receive(int descriptor, Span<byte> buffer)
    {
        fixed (byte* start = buffer)
        {
            return (int)ReceiveBytes(descriptor, start, (nuint)buffer.Length, 0);
        }
    }

    [LibraryImport("libc", EntryPoint = "close")]
    public static partial int Close(int descriptor);

    [LibraryImport("libc", EntryPoint = "kill")]
    public static partial int Signal(int process, int signal);

    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    private static partial int OpenSocket(int family, int type, int protocol);

    [LibraryImport("libc", EntryPoint = "setsockopt")]
    private static partial int SetOption(int descriptor, int level, int option, void* value, uint length);

    [LibraryImport("libc", EntryPoint = "sendmmsg")]
    private static partial int SendMessages(int descriptor, Message* messages, uint count, int flags);

    [LibraryImport("libc", EntryPoint = "recv")]
    private static partial nint ReceiveBytes(int descriptor, byte* buffer, nuint length, int flags);
}
