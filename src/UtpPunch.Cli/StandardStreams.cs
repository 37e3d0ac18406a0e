using Microsoft.Win32.SafeHandles;

namespace UtpPunch.Cli;

/// <summary>Standard input and output as bytes.</summary>
internal static class StandardStreams
{
    public static Stream OpenInput() => Console.OpenStandardInput();

    /// <summary>
    /// Standard output. Disposing it ends a pipe, so that its reader sees the end while the other direction goes on. A console stream
    /// would not do that, and it takes a pipe that nobody reads any more for success (`utp cat … | head`): data would be lost without a
    /// word. So a pipe is opened as a file. A real file is not, for it would not move the offset that it shares with the processes that
    /// come after.
    /// </summary>
    public static Stream OpenOutput()
    {
        if (!OperatingSystem.IsWindows() && Console.IsOutputRedirected)
        {
            var file = new FileStream(new SafeFileHandle(1, ownsHandle: false), FileAccess.Write, bufferSize: 0);
            if (!file.CanSeek)
            {
                return new FileStream(new SafeFileHandle(1, ownsHandle: true), FileAccess.Write, bufferSize: 0);
            }
        }

        return Console.OpenStandardOutput();
    }
}
