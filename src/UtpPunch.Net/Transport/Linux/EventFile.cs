using Microsoft.Win32.SafeHandles;

namespace UtpPunch;

/// <summary>An eventfd, by which one thread ends the wait of another.</summary>
internal sealed unsafe class EventFile : IDisposable
{
    private readonly SafeFileHandle _file;

    /// <exception cref="IOException">The system has no eventfd for this process.</exception>
    public EventFile(LinuxCalls calls)
    {
        _file = calls.CreateEventFile();
        if (_file.IsInvalid)
        {
            throw new IOException("The system has no eventfd for this process.");
        }
    }

    /// <summary>The file descriptor, for a poll on the thread that disposes this object.</summary>
    public int Number => (int)_file.DangerousGetHandle();

    /// <summary>Makes the file readable. From any thread, at any time.</summary>
    public void Signal()
    {
        try
        {
            var one = 1UL;
            Libc.Write(_file, &one, sizeof(ulong));
        }
        catch (ObjectDisposedException)
        {
            // No thread waits any more.
        }
    }

    /// <summary>Makes the file unreadable again.</summary>
    public void Clear()
    {
        ulong count;
        Libc.Read(_file, &count, sizeof(ulong));
    }

    public void Dispose() => _file.Dispose();
}
