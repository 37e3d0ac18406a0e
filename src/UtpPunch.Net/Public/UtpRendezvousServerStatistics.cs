namespace UtpPunch;

/// <summary>The load of a rendezvous server.</summary>
public readonly record struct UtpRendezvousServerStatistics
{
    /// <summary>Gets the number of peers that wait for another one.</summary>
    public int WaitingPeers { get; init; }

    /// <summary>Gets the number of introductions that are not complete.</summary>
    public int PendingIntroductions { get; init; }

    /// <summary>Gets the number of pairs that were introduced since the start.</summary>
    public long TotalIntroductions { get; init; }

    /// <summary>Gets the number of datagrams that were dropped since the start, because they were not valid or too many.</summary>
    public long DatagramsRefused { get; init; }
}
