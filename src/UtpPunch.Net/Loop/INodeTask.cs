using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>A task of the node that is no stream: a meeting, a punch, a discovery. All members run under the loop lock.</summary>
internal interface INodeTask
{
    /// <summary>Whether either peer may open the streams, as in the npm package.</summary>
    bool IsLegacy { get; }

    void OnRegistered(Endpoint observed, PortPrediction mapping);

    void OnIntroduced(Endpoint peer);

    /// <summary>False when the task needs no further events.</summary>
    bool OnPunched(PunchReport report, Task<UtpStream>? opened);

    void OnLost(Failure failure);

    /// <summary>No address of the rendezvous answers.</summary>
    void OnServerSilent()
    {
    }

    /// <summary>What STUN servers answered; the last event.</summary>
    void OnDiscovered(StunOutcome outcome)
    {
    }
}
