namespace UtpPunch.Cli;

/// <summary>The exit codes of the tool.</summary>
internal static class ExitCodes
{
    public const int Success = 0;
    public const int Failure = 1;

    /// <summary>The command line is invalid.</summary>
    public const int Usage = 2;

    /// <summary>No other peer came to the room, or the rendezvous is full or does not answer.</summary>
    public const int NoPeer = 3;

    /// <summary>The peer was found, but no connection could be made.</summary>
    public const int PunchFailed = 4;

    /// <summary>The peer does not answer, or stopped answering.</summary>
    public const int TimedOut = 5;

    /// <summary>Ended by Ctrl-C: 128 and the number of the signal, as shells report it.</summary>
    public const int Interrupted = 130;

    /// <summary>The reader of standard output has gone: what a shell reports of a tool that SIGPIPE ended.</summary>
    public const int BrokenPipe = 141;

    /// <summary>Ended by SIGTERM.</summary>
    public const int Terminated = 143;

    /// <summary>What each exit code means.</summary>
    public static readonly (int Code, string Meaning)[] Meanings =
    [
        (Success, "success"),
        (Failure, "failure"),
        (Usage, "invalid command line, or invalid configuration"),
        (NoPeer, "no peer: no other peer came to the room, or the rendezvous is full or does not answer"),
        (PunchFailed, "the peer was found, but no connection could be made"),
        (TimedOut, "the peer does not answer, or stopped answering"),
        (Interrupted, "interrupted by Ctrl-C"),
        (BrokenPipe, "the reader of standard output has gone"),
        (Terminated, "terminated by SIGTERM"),
    ];

    /// <summary>The code of a failure.</summary>
    public static int Of(Exception error) => error switch
    {
        ToolException failure => failure.ExitCode,
        UtpException { Error: UtpError.ConnectTimeout or UtpError.AcknowledgementTimeout or UtpError.IdleTimeout } => TimedOut,
        UtpException { Error: UtpError.RendezvousUnreachable or UtpError.RendezvousFull or UtpError.RoomFull or UtpError.PeerNotFound } => NoPeer,
        UtpException { Error: UtpError.PunchFailed } => PunchFailed,
        _ => Failure,
    };

    /// <summary>The code of a punch that failed.</summary>
    public static int Of(UtpPunchStage stage) =>
        stage is UtpPunchStage.ServerSilent or UtpPunchStage.ServerFull or UtpPunchStage.RoomFull or UtpPunchStage.NoPeer ? NoPeer : PunchFailed;
}

/// <summary>Ends the tool with a message for its user: one line.</summary>
internal sealed class ToolException(int exitCode, string message, Exception? cause = null) : Exception(message, cause)
{
    public int ExitCode { get; } = exitCode;
}
