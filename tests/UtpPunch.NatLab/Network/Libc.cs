using System.ComponentModel;
using System.Runtime.InteropServices;
using System.Text;

namespace UtpPunch.NatLab.Network;

/// <summary>System calls that .NET does not expose.</summary>
internal static unsafe partial class Libc
{
    public const short PollIn = 1;

    private const int NewNetwork = 0x40000000;                  // CLONE_NEWNET
    private const int ReadWriteNonBlocking = 0x80802;           // O_RDWR, O_NONBLOCK, O_CLOEXEC
    private const nuint SetInterface = 0x400454ca;              // TUNSETIFF
    private const short PacketsWithoutHeader = 0x1001;          // IFF_TUN, IFF_NO_PI
    private const int EventNonBlocking = 0x80800;               // EFD_NONBLOCK, EFD_CLOEXEC

    [StructLayout(LayoutKind.Sequential)]
    public struct PollEntry
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }

    /// <summary>Puts the calling thread into a new network namespace, which exists as long as something is in it.</summary>
    public static void EnterNewNetwork() => Succeed(Unshare(NewNetwork), "a new network namespace");

    /// <summary>The number of the calling thread, as /proc has it.</summary>
    public static int ThreadId() => GetThreadId();

    /// <summary>Makes a TUN device in the namespace of the calling thread, and gives its descriptor.</summary>
    public static int OpenTun(string name)
    {
        var descriptor = Succeed(Open("/dev/net/tun", ReadWriteNonBlocking), "/dev/net/tun");
        var request = stackalloc byte[40];                      // struct ifreq: a name of 16 bytes, then the flags
        new Span<byte>(request, 40).Clear();
        Encoding.ASCII.GetBytes(name, new Span<byte>(request, 15));
        *(short*)(request + 16) = PacketsWithoutHeader;
        Succeed(Control(descriptor, SetInterface, request), $"the TUN device '{name}'");
        return descriptor;
    }

    public static int OpenEvent() => Succeed(EventDescriptor(0, EventNonBlocking), "an eventfd");

    /// <summary>Reads one packet; -1 when there is none.</summary>
    public static int Read(int descriptor, Span<byte> buffer)
    {
        fixed (byte* start = buffer)
        {
            return (int)ReadBytes(descriptor, start, (nuint)buffer.Length);
        }
    }

    /// <summary>Writes one packet. A packet that the kernel refuses is lost.</summary>
    public static void Write(int descriptor, ReadOnlySpan<byte> bytes)
    {
        fixed (byte* start = bytes)
        {
            _ = WriteBytes(descriptor, start, (nuint)bytes.Length);
        }
    }

    /// <summary>Waits until data can be read, for at most the time in milliseconds; -1 is infinite.</summary>
    public static void Poll(Span<PollEntry> entries, int milliseconds)
    {
        fixed (PollEntry* start = entries)
        {
            _ = PollEntries(start, (nuint)entries.Length, milliseconds);
        }
    }

    public static void Close(int descriptor) => _ = CloseDescriptor(descriptor);

    private static int Succeed(int result, string what) =>
        result >= 0 ? result : throw new IOException($"{what}: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}");

    [LibraryImport("libc", EntryPoint = "gettid")]
    private static partial int GetThreadId();

    [LibraryImport("libc", EntryPoint = "unshare", SetLastError = true)]
    private static partial int Unshare(int flags);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Control(int descriptor, nuint request, void* argument);

    [LibraryImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    private static partial int EventDescriptor(uint value, int flags);

    [LibraryImport("libc", EntryPoint = "read")]
    private static partial nint ReadBytes(int descriptor, void* buffer, nuint count);

    [LibraryImport("libc", EntryPoint = "write")]
    private static partial nint WriteBytes(int descriptor, void* buffer, nuint count);

    [LibraryImport("libc", EntryPoint = "poll")]
    private static partial int PollEntries(PollEntry* entries, nuint count, int milliseconds);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int CloseDescriptor(int descriptor);
}
