using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace UtpPunch.Cli;

/// <summary>Standard input and output as bytes.</summary>
internal static class StandardStreams
{
    /// <summary>
    /// Standard input; an empty one when the process was started without (`utp cat … &lt;&amp;-`). The first file that the runtime opens
    /// gets the number of a missing one, and to read from a file of the runtime could take for ever, and what is not ours.
    /// </summary>
    public static Stream OpenInput() => IsOurOwn(0) ? Stream.Null : Console.OpenStandardInput();

    /// <summary>
    /// Standard output. A console stream takes a pipe that nobody reads any more for success (`utp cat … | head`), and data would be lost
    /// without a word. So a pipe is opened as a file, which fails. A real file is not, for it would not move the offset that it shares
    /// with the processes that come after. Its end is that of the process: the runtime holds duplicates of the descriptor.
    /// </summary>
    public static Stream OpenOutput()
    {
        if (!OperatingSystem.IsWindows() && Console.IsOutputRedirected)
        {
            var file = new FileStream(new SafeFileHandle(1, ownsHandle: false), FileAccess.Write, bufferSize: 0);
            if (!file.CanSeek)
            {
                return file;
            }
        }

        return Console.OpenStandardOutput();
    }

    // A descriptor that a program does not inherit is closed when it starts: one that says so of itself was opened since.
    private static bool IsOurOwn(int descriptor)
    {
        const int GetFlags = 1;
        const int CloseOnExec = 1;
        return !OperatingSystem.IsWindows() && FileControl(descriptor, GetFlags) is var flags && (flags < 0 || (flags & CloseOnExec) != 0);
    }

    [DllImport("libc", EntryPoint = "fcntl")]
    private static extern int FileControl(int descriptor, int command);
}
