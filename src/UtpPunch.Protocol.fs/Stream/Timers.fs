namespace UtpPunch.Protocol

/// When each timer of a stream fires: the table whose minimum is what the stream waits for. Timers that follow from other fields
/// (idle time, keep-alive, giving up, path probes, the age of packets) are not kept here: `Connection.deadline` adds them.
[<Struct; NoComparison; NoEquality>]
type internal Timers =
    {
        /// The SYN or SYN-ACK is repeated; once the stream is established, what confirms it to the other side.
        mutable Handshake: Instant
        /// The handshake has taken too long; in TIME-WAIT, the stream is forgotten.
        mutable Expiry: Instant
        /// RFC 6298's retransmission timer.
        mutable Retransmit: Instant
        /// RFC 8985, 7: a tail loss probe.
        mutable LossProbe: Instant
        /// RFC 9293, 3.8.6.1: a zero-window probe.
        mutable WindowProbe: Instant
        /// RFC 5681, 4.2: the delayed acknowledgement.
        mutable Ack: Instant
        /// The last acknowledgement is repeated, because the path loses packets and the peer has fallen silent.
        mutable Echo: Instant
    }

module internal Timers =
    /// None runs.
    let stopped =
        { Handshake = Time.never
          Expiry = Time.never
          Retransmit = Time.never
          LossProbe = Time.never
          WindowProbe = Time.never
          Ack = Time.never
          Echo = Time.never }

    /// When the first of them fires; `Time.never` if none runs.
    let earliest (timers: inref<Timers>) =
        min timers.Handshake timers.Expiry
        |> min timers.Retransmit
        |> min timers.LossProbe
        |> min timers.WindowProbe
        |> min timers.Ack
        |> min timers.Echo
