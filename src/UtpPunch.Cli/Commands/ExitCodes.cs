namespace UtpPunch.Cli;

/// <summary>What the tool tells scripts.</summary>
internal static class ExitCodes
{
    public const int Success = 0;
    public const int Failure = 1;
    public const int Usage = 2;

    /// <summary>There was no meeting: nobody else came to the room, or the rendezvous is silent or full.</summary>
    public const int NoMeeting = 3;

    /// <summary>The peer was met, and no way to it was found.</summary>
    public const int PunchFailed = 4;

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
        UtpException { Error: UtpError.RendezvousUnreachable or UtpError.RendezvousFull or UtpError.PeerNotFound } => NoMeeting,
        UtpException { Error: UtpError.PunchFailed } => PunchFailed,
        _ => Failure,
    };

    /// <summary>The code of a punch that failed.</summary>
    public static int Of(PunchStage stage) =>
        stage is PunchStage.ServerSilent or PunchStage.ServerFull or PunchStage.NoPeer ? NoMeeting : PunchFailed;
}

/// <summary>The tool cannot go on. The message is for its user: one line.</summary>
internal sealed class ToolException(int exitCode, string message, Exception? cause = null) : Exception(message, cause)
{
    public int ExitCode { get; } = exitCode;
}
