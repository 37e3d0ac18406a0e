using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace UtpPunch.Cli;

/// <summary>
/// Standard input and output as bytes. A process may be started with one of them closed (`utp cat … &lt;&amp;-`). The first file that the
/// runtime opens then gets the free number, and must be neither read nor written.
/// </summary>
internal static class StandardStreams
{
    private const string OutputIsClosed = "standard output is closed";

    /// <summary>Makes text output safe when a descriptor is missing: to standard output it fails, to standard error it is discarded.</summary>
    public static void ReplaceMissing()
    {
        if (IsMissing(1))
        {
            Console.SetOut(new StreamWriter(new ClosedStream()) { AutoFlush = true });
        }

        if (IsMissing(2))
        {
            Console.SetError(TextWriter.Null);
        }
    }

    /// <summary>Standard input; an empty stream when it is missing.</summary>
    public static Stream OpenInput() => IsMissing(0) ? Stream.Null : Console.OpenStandardInput();

    /// <summary>
    /// Standard output. A console stream reports success for a pipe without a reader (`utp cat … | head`), so data would be lost silently.
    /// A pipe is therefore opened as a file, whose writes fail. A regular file is not, since that would not move the offset that it shares
    /// with processes that come later. Its end is that of the process: the runtime holds duplicates of the descriptor.
    /// </summary>
    public static Stream OpenOutput()
    {
        if (IsMissing(1))
        {
            return new ClosedStream();
        }

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

    /// <summary>Whether a write failed because the reader of a pipe has gone. Unix tools end without a message then.</summary>
    public static bool IsBrokenPipe(Exception error)
    {
        const int BrokenPipe = 32;                              // EPIPE of Linux and macOS
        return !OperatingSystem.IsWindows() && error is IOException { HResult: BrokenPipe };
    }

    // Descriptors that are not inherited by a child are closed when it starts. So one with this flag was opened since, by the runtime.
    private static bool IsMissing(int descriptor)
    {
        const int GetFlags = 1;
        const int CloseOnExec = 1;
        return !OperatingSystem.IsWindows() && FileControl(descriptor, GetFlags) is var flags && (flags < 0 || (flags & CloseOnExec) != 0);
    }

    [DllImport("libc", EntryPoint = "fcntl")]
    private static extern int FileControl(int descriptor, int command);

    /// <summary>A stream on which every write fails.</summary>
    private sealed class ClosedStream : Stream
    {
        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override void Write(byte[] buffer, int offset, int count) => throw new IOException(OutputIsClosed);

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
