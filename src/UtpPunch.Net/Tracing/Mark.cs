namespace UtpPunch;

/// <summary>What comes next in a recording.</summary>
internal enum Mark : byte
{
    Step,
    Fault,

    // Events
    Received,
    Connect,
    Listen,
    Unlisten,
    Taken,
    Write,
    Consumed,
    Finish,
    Release,
    Abort,
    IdleTimeout,
    Unreachable,

    // Effects
    Send,
    Deliver,
    Accepted,
    Opened,
    Writable,
    Ended,
    Finished,
    Closed,
    Foreign,
    Noted,
}
