namespace UtpPunch.Sim

open System.Collections.Generic

/// Coverage marks: what happened, by name, and how often. A campaign that does not meet what it claims to test fails.
[<Sealed>]
type Marks() =
    let counts = Dictionary<string, int64>()

    let add name count =
        match counts.TryGetValue name with
        | true, known -> counts[name] <- known + count
        | _ -> counts[name] <- count

    /// In the order of the names.
    member _.Counts = SortedDictionary<string, int64>(counts, System.StringComparer.Ordinal)

    member _.Hit(name: string) = add name 1L
    member _.HitTimes(name: string, count: int64) = add name count

    member _.Add(other: Marks) =
        for KeyValue(name, count) in other.Counts do
            add name count

module Marks =
    /// The marks that a campaign of 200 runs must hit: docs/simulation.md, M5.
    let required =
        [ "SYN lost"
          "SYN-ACK lost"
          "application asked"
          "reset with an error code"
          "RepeatedSyn"
          "HandshakeRetransmit"
          "lost: loss"
          "lost: cut"
          "lost: drop"
          "lost: checksum"
          "lost: refused"
          "duplicated"
          "clocks apart"
          "seq wrap"
          "ack wrap"
          "ts wrap"
          "OutOfOrder"
          "Duplicate"
          "SACK emitted"
          "FastRetransmit"
          "LossTolerated"
          "RetransmitTimeout"
          "LossProbe"
          "KeepAlive"
          "three time-outs in a row"
          "cwnd yields to loss"
          "zero window"
          "send buffer full"
          "FIN before its data"
          "FIN lost"
          "FIN again"
          "data behind the peer's end"
          "closed: Finished"
          "closed: Aborted"
          "closed: Reset"
          "ResetAccepted"
          "ResetOutOfRange"
          "HalfOpenExpired"
          "AckOutOfRange"
          "TimestampOutOfRange"
          "UnknownConnection"
          "forged"
          "hint"
          "PathProbe"
          "PathShrunk"
          "BlackHole"
          "TrainsLost"
          "probe lost"
          "packets have grown"
          "may fragment"
          "lost: mtu"
          "lost: emsgsize" ]
