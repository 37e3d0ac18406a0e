using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace UtpPunch;

/// <summary>An eventfd: what one thread counts up makes another one's wait end.</summary>
internal sealed unsafe class EventFile : IDisposable
{
    private readonly SafeFileHandle _file;

    public EventFile()
    {
        _file = Libc.EventFile(0, Libc.EFD_NONBLOCK | Libc.EFD_CLOEXEC);
        if (_file.IsInvalid)
        {
            throw new IOException($"No eventfd is to be had: {Marshal.GetLastPInvokeErrorMessage()}");
        }
    }

    /// <summary>For a poll on the thread that disposes of this.</summary>
    public int Number => (int)_file.DangerousGetHandle();

    /// <summary>From any thread, at any time.</summary>
    public void Signal()
    {
        try
        {
            var one = 1UL;
            Libc.Write(_file, &one, sizeof(ulong));
        }
        catch (ObjectDisposedException)
        {
            // Nobody waits any more.
        }
    }

    public void Clear()
    {
        ulong count;
        Libc.Read(_file, &count, sizeof(ulong));
    }

    public void Dispose() => _file.Dispose();
}
