using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace UtpPunch;

/// <summary>The system calls of the Linux transport. A sandbox may refuse some of them, and tests replace them.</summary>
internal unsafe class LinuxCalls
{
    private const int EPERM = 1;
    private const int EACCES = 13;
    private const int ENOSYS = 38;

    /// <summary>The kernel's.</summary>
    public static LinuxCalls Kernel { get; } = new();

    /// <summary>Whether an <c>errno</c> may mean that a sandbox refuses the call, whatever its arguments are.</summary>
    public static bool IsRefusal(int error) => error is EPERM or EACCES or ENOSYS;

    /// <summary><c>sendmsg</c> without waiting: 0, or an <c>errno</c>.</summary>
    public virtual int Send(SafeHandle socket, Libc.Message* message) =>
        Libc.Send(socket, message, Libc.MSG_DONTWAIT) >= 0 ? 0 : Marshal.GetLastPInvokeError();

    /// <summary><c>recvmmsg</c> without waiting: how many datagrams were received, or a negative <c>errno</c>.</summary>
    public virtual int ReceiveMany(SafeHandle socket, Libc.MessageOfMany* messages, uint count) =>
        Libc.ReceiveMany(socket, messages, count, Libc.MSG_DONTWAIT, null) is >= 0 and var received ? received : -Marshal.GetLastPInvokeError();

    /// <summary><c>recvmsg</c> without waiting: the length of the datagram, or a negative <c>errno</c>.</summary>
    public virtual int Receive(SafeHandle socket, Libc.Message* message) =>
        Libc.Receive(socket, message, Libc.MSG_DONTWAIT) is >= 0 and var length ? (int)length : -Marshal.GetLastPInvokeError();

    /// <summary><c>ppoll</c>: how many files are ready, or a negative <c>errno</c>.</summary>
    public virtual int Poll(Libc.PollFile* files, int count, Libc.Timespec* timeout) =>
        Libc.Poll(files, (nuint)count, timeout, null) is >= 0 and var ready ? ready : -Marshal.GetLastPInvokeError();

    /// <summary><c>eventfd</c>. The handle is invalid if there is none.</summary>
    public virtual SafeFileHandle CreateEventFile() => Libc.EventFile(0, Libc.EFD_NONBLOCK | Libc.EFD_CLOEXEC);

    /// <summary>Which call is refused that the transport cannot do without; <see langword="null"/> if there is none.</summary>
    public string? FindRefused()
    {
        using var file = CreateEventFile();
        var timeout = default(Libc.Timespec);
        return file.IsInvalid ? "eventfd" : Poll(null, 0, &timeout) < 0 ? "ppoll" : null;
    }
}
