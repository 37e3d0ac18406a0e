using Microsoft.Win32.SafeHandles;

namespace UtpPunch.Cli;

/// <summary>Standard input and output as bytes.</summary>
internal static class StandardStreams
{
    public static Stream OpenInput() => Console.OpenStandardInput();

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
}
