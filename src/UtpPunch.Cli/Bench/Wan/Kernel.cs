using System.ComponentModel;
using System.Runtime.InteropServices;
using System.Text;

namespace UtpPunch.Cli.Bench;

/// <summary>The system calls behind an emulated path: a TUN device, and a precise wait. .NET does not expose them. The
/// layouts are those of 64-bit Linux.</summary>
internal static unsafe partial class Kernel
{
    private const int ReadWriteNonBlocking = 0x80802;           // O_RDWR, O_NONBLOCK, O_CLOEXEC
    private const nuint SetInterface = 0x400454ca;              // TUNSETIFF
    private const short PacketsWithoutHeader = 0x1001;          // IFF_TUN, IFF_NO_PI
    private const short Readable = 1;                           // POLLIN
    private const int TimerSlack = 29;                          // PR_SET_TIMERSLACK
    private const int FirstInFirstOut = 1;                      // SCHED_FIFO

    /// <summary>Creates a TUN device, which exists as long as the descriptor that this returns. The device passes plain IP packets: a
    /// program that does not ask for offloads (TUNSETOFFLOAD) receives no segments that are longer than the MTU.</summary>
    public static int OpenTun(string name)
    {
        var descriptor = Open("/dev/net/tun", ReadWriteNonBlocking);
        if (descriptor < 0)
        {
            throw Error("/dev/net/tun");
        }

        var request = stackalloc byte[40];                      // struct ifreq: a name of 16 bytes, then the flags
        new Span<byte>(request, 40).Clear();
        Encoding.ASCII.GetBytes(name, new Span<byte>(request, 15));
        *(short*)(request + 16) = PacketsWithoutHeader;
        if (Control(descriptor, SetInterface, request) < 0)
        {
            var error = Error($"the TUN device '{name}'");
            Close(descriptor);
            throw error;
        }

        return descriptor;
    }

    /// <summary>Reads one packet; -1 if there is none.</summary>
    public static int Read(int descriptor, Span<byte> buffer)
    {
        fixed (byte* start = buffer)
        {
            return (int)ReadBytes(descriptor, start, (nuint)buffer.Length);
        }
    }

    /// <summary>Writes one packet. A packet that the kernel refuses is lost.</summary>
    public static void Write(int descriptor, ReadOnlySpan<byte> packet)
    {
        fixed (byte* start = packet)
        {
            _ = WriteBytes(descriptor, start, (nuint)packet.Length);
        }
    }

    /// <summary>Waits until one of two descriptors is readable, for at most this time.</summary>
    public static void Wait(int first, int second, long microseconds)
    {
        var entries = stackalloc PollEntry[2];
        entries[0] = new PollEntry { Descriptor = first, Events = Readable };
        entries[1] = new PollEntry { Descriptor = second, Events = Readable };
        var time = new TimeSpec { Seconds = microseconds / 1_000_000, Nanoseconds = microseconds % 1_000_000 * 1000 };
        _ = Poll(entries, 2, &time, null);
    }

    public static void Sleep(long microseconds)
    {
        var time = new TimeSpec { Nanoseconds = microseconds * 1000 };
        _ = Poll(null, 0, &time, null);
    }

    /// <summary>Lets the calling thread wake up on time: without the slack of 50 µs that timers have, and, if the system permits it, before
    /// all ordinary threads.</summary>
    public static void BePunctual()
    {
        _ = ControlProcess(TimerSlack, 1, 0, 0, 0);
        var priority = 1;
        _ = SetScheduler(0, FirstInFirstOut, &priority);
    }

    public static void Close(int descriptor) => _ = CloseDescriptor(descriptor);

    private static IOException Error(string what) => new($"{what}: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}");

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Control(int descriptor, nuint request, void* argument);

    [LibraryImport("libc", EntryPoint = "read")]
    private static partial nint ReadBytes(int descriptor, void* buffer, nuint count);

    [LibraryImport("libc", EntryPoint = "write")]
    private static partial nint WriteBytes(int descriptor, void* buffer, nuint count);

    [LibraryImport("libc", EntryPoint = "ppoll")]
    private static partial int Poll(PollEntry* entries, nuint count, TimeSpec* time, void* signals);

    [LibraryImport("libc", EntryPoint = "prctl")]
    private static partial int ControlProcess(int option, nuint second, nuint third, nuint fourth, nuint fifth);

    [LibraryImport("libc", EntryPoint = "sched_setscheduler")]
    private static partial int SetScheduler(int thread, int policy, int* priority);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int CloseDescriptor(int descriptor);

    [StructLayout(LayoutKind.Sequential)]
    private struct PollEntry
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpec
    {
        public long Seconds;
        public long Nanoseconds;
    }
}
