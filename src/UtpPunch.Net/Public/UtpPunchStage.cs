namespace UtpPunch;

/// <summary>The outcome of a punch, or the stage at which it has failed.</summary>
public enum UtpPunchStage
{
    /// <summary>There is a path.</summary>
    Open = 0,

    /// <summary>The rendezvous server did not answer.</summary>
    ServerSilent = 1,

    /// <summary>The rendezvous server has as many registrations as it may have.</summary>
    ServerFull = 2,

    /// <summary>No peer entered the room in time.</summary>
    NoPeer = 3,

    /// <summary>The peer was introduced, but none of its packets arrived.</summary>
    NothingHeard = 4,

    /// <summary>Packets of the peer arrived, but none of them acknowledged ours.</summary>
    NotHeard = 5,

    /// <summary>A path was found, but the peers did not agree on it in time.</summary>
    NotAgreed = 6,

    /// <summary>The peer had already given up.</summary>
    PeerGaveUp = 7,

    /// <summary>The punch was cancelled on this side.</summary>
    Cancelled = 8,

    /// <summary>No peer with an authentic offer entered the room in time: others did not know the secret, or have another version.</summary>
    Rejected = 9,

    /// <summary>The room has as many registrations as the rendezvous server lets it have.</summary>
    RoomFull = 10,

    /// <summary>The node takes part in 1024 meetings, or has 4096 punches, at the same time, and begins no further one.</summary>
    TooManyPunches = 11,
}
