using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace UtpPunch;

/// <summary>System calls for which .NET has no API, with the layouts of 64-bit Linux (socket(7), udp(7), ip(7)).</summary>
internal static unsafe partial class Libc
{
    public const int MSG_TRUNC = 0x20;
    public const int MSG_DONTWAIT = 0x40;
    public const int MSG_ERRQUEUE = 0x2000;

    public const short POLLIN = 1;
    public const short POLLERR = 8;
    public const short POLLHUP = 16;
    public const short POLLNVAL = 32;

    public const int SOL_SOCKET = 1;
    public const int SOL_IP = 0;
    public const int SOL_IPV6 = 41;
    public const int SOL_UDP = 17;
    public const int SO_TIMESTAMPNS = 35;
    public const int UDP_SEGMENT = 103;
    public const int UDP_GRO = 104;
    public const int IP_PKTINFO = 8;
    public const int IP_RECVERR = 11;
    public const int IPV6_RECVERR = 25;
    public const int IPV6_RECVPKTINFO = 49;
    public const int IPV6_PKTINFO = 50;

    public const int CLOCK_REALTIME = 0;
    public const int EFD_NONBLOCK = 0x800;
    public const int EFD_CLOEXEC = 0x80000;
    public const int PR_SET_TIMERSLACK = 29;

    [LibraryImport("libc", EntryPoint = "recvmmsg", SetLastError = true)]
    public static partial int ReceiveMany(SafeHandle socket, MessageOfMany* messages, uint count, int flags, Timespec* timeout);

    [LibraryImport("libc", EntryPoint = "recvmsg", SetLastError = true)]
    public static partial nint Receive(SafeHandle socket, Message* message, int flags);

    [LibraryImport("libc", EntryPoint = "sendmsg", SetLastError = true)]
    public static partial nint Send(SafeHandle socket, Message* message, int flags);

    [LibraryImport("libc", EntryPoint = "ppoll", SetLastError = true)]
    public static partial int Poll(PollFile* files, nuint count, Timespec* timeout, void* signals);

    [LibraryImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    public static partial SafeFileHandle EventFile(uint count, int flags);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    public static partial nint Read(SafeFileHandle file, ulong* target, nuint count);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    public static partial nint Write(SafeFileHandle file, ulong* source, nuint count);

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    public static partial int GetTime(int clock, Timespec* time);

    [LibraryImport("libc", EntryPoint = "prctl")]
    public static partial int ControlThread(int option, nuint value, nuint unused3, nuint unused4, nuint unused5);

    /// <summary><c>struct timespec</c>.</summary>
    public struct Timespec
    {
        public long Seconds;
        public long Nanoseconds;

        public static Timespec OfMicroseconds(long microseconds) =>
            new() { Seconds = microseconds / 1_000_000, Nanoseconds = microseconds % 1_000_000 * 1000 };

        public readonly long Microseconds => (Seconds * 1_000_000) + (Nanoseconds / 1000);
    }

    /// <summary><c>struct pollfd</c>.</summary>
    public struct PollFile
    {
        public int File;
        public short Wanted;
        public short Seen;
    }

    /// <summary><c>struct iovec</c>.</summary>
    public struct Part
    {
        public byte* Start;
        public nuint Length;
    }

    /// <summary><c>struct msghdr</c>.</summary>
    public struct Message
    {
        public byte* Name;
        public uint NameLength;
        public Part* Parts;
        public nuint PartCount;
        public byte* Control;
        public nuint ControlLength;
        public int Flags;
    }

    /// <summary><c>struct mmsghdr</c>.</summary>
    public struct MessageOfMany
    {
        public Message Message;
        public uint Length;
    }

    /// <summary><c>struct cmsghdr</c>; its data follows, and the next one is aligned to 8 bytes.</summary>
    public struct ControlHeader
    {
        public nuint Length;
        public int Level;
        public int Type;
    }

    /// <summary><c>struct sock_extended_err</c>.</summary>
    public struct ExtendedError
    {
        public uint Code;
        public byte Origin;
        public byte Type;
        public byte IcmpCode;
        public byte Padding;
        public uint Info;
        public uint Data;
    }
}
