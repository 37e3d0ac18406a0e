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

    // Any other event, as it is
    Event,

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

    // Any other effect, as it is
    Effect,
}
