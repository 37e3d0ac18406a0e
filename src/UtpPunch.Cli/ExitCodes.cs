namespace UtpPunch.Cli;

/// <summary>What the tool tells scripts.</summary>
internal static class ExitCodes
{
    public const int Success = 0;
    public const int Failure = 1;
    public const int Usage = 2;
    public const int TimedOut = 5;

    /// <summary>Ended by Ctrl-C: 128 and the number of the signal, as shells have it.</summary>
    public const int Interrupted = 130;

    /// <summary>Ended by SIGTERM.</summary>
    public const int Terminated = 143;

    /// <summary>The code of a failure.</summary>
    public static int Of(Exception error) => error switch
    {
        ToolException failure => failure.ExitCode,
        UtpException { Error: UtpError.ConnectTimeout or UtpError.ConnectionTimedOut or UtpError.IdleTimeout } => TimedOut,
        _ => Failure,
    };
}

/// <summary>The tool cannot go on. The message is for its user: one line.</summary>
internal sealed class ToolException(int exitCode, string message, Exception? cause = null) : Exception(message, cause)
{
    public int ExitCode { get; } = exitCode;
}
