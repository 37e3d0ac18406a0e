/// The states of a stream and their transitions, as data: what BEP 29 and ARCHITECTURE.md ("Intentional differences",
/// "Choices") require. `PacketTable` compares the tables with the core, `StateDocument` generates docs/states.md from them.
module UtpPunch.Sim.Tests.StateTable

open UtpPunch.Protocol

/// RFC 9293, 3.3.2. CLOSING is LAST-ACK here: the two differ only in which side waits at the end.
type State =
    | Closed
    | SynSent
    | SynReceived
    | Established
    | FinWait1
    | FinWait2
    | CloseWait
    | LastAck
    | TimeWait

    member state.Name =
        match state with
        | Closed -> "CLOSED"
        | SynSent -> "SYN-SENT"
        | SynReceived -> "SYN-RECEIVED"
        | Established -> "ESTABLISHED"
        | FinWait1 -> "FIN-WAIT-1"
        | FinWait2 -> "FIN-WAIT-2"
        | CloseWait -> "CLOSE-WAIT"
        | LastAck -> "LAST-ACK"
        | TimeWait -> "TIME-WAIT"

let states =
    [ Closed; SynSent; SynReceived; Established; FinWait1; FinWait2; CloseWait; LastAck; TimeWait ]

/// The state of a stream, from the node's statistics.
let stateOf (stream: StreamStatistics voption) =
    match stream with
    | ValueNone -> Closed
    | ValueSome stream ->
        match stream.State, stream.Sending, stream.Receiving with
        | StreamState.Closed, _, _ -> Closed
        | StreamState.SynSent, _, _ -> SynSent
        | StreamState.SynReceived, _, _ -> SynReceived
        | StreamState.TimeWait, _, _ -> TimeWait
        | StreamState.Established, (SendState.Open | SendState.FinQueued), ReceiveState.Open -> Established
        | StreamState.Established, SendState.FinWait, ReceiveState.Open -> FinWait1
        | StreamState.Established, (SendState.FinAcked | SendState.Finished), ReceiveState.Open -> FinWait2
        | StreamState.Established, (SendState.Open | SendState.FinQueued), _ -> CloseWait
        | StreamState.Established, _, _ -> LastAck

/// How a test brings a stream into a state. In those from `Open` on, the peer has sent a packet, and one of ours is not acknowledged,
/// unless stated otherwise.
type Stage =
    /// The node listens, and has no stream.
    | NoStream
    /// The node does not listen.
    | Dialled
    | HalfOpen
    | Open
    | WeFinished
    /// Everything of ours is acknowledged.
    | WeFinishedAcknowledged
    | TheyFinished
    | TheyFinishedThenWe
    /// Everything of both sides is acknowledged.
    | BothFinished
    /// The application has released the stream.
    | Released
    | Aborted

    member stage.State =
        match stage with
        | NoStream
        | Aborted -> Closed
        | Dialled -> SynSent
        | HalfOpen -> SynReceived
        | Open -> Established
        | WeFinished
        | Released -> FinWait1
        | WeFinishedAcknowledged -> FinWait2
        | TheyFinished -> CloseWait
        | TheyFinishedThenWe -> LastAck
        | BothFinished -> TimeWait

let stages =
    [ NoStream
      Dialled
      HalfOpen
      Open
      WeFinished
      WeFinishedAcknowledged
      TheyFinished
      TheyFinishedThenWe
      BothFinished
      Released
      Aborted ]

/// The sequence number of a packet, relative to the next one in order.
type Number =
    | Next
    /// The number of a packet that was received before; of a SYN, that of the stream's own SYN.
    | Old
    | Ahead
    /// Outside the reorder window.
    | Far

/// The acknowledgement number of a packet, relative to the last number that we sent.
type Acknowledgement =
    | All
    /// The packet before the first outstanding one.
    | Before
    /// A packet a thousand numbers back.
    | Ancient
    | Unsent

let numbers = [ Next; Old; Ahead; Far ]
let acknowledgements = [ All; Before; Ancient; Unsent ]

/// A row for all cells of its kinds; an earlier row takes precedence.
type Row =
    {
        In: Stage list
        On: PacketType list
        Of: Number list
        Acknowledging: Acknowledgement list
        /// The observations within 30 ms, in this order: effects for the application, packets, and in brackets the rules noted.
        Gives: string
        /// The next state; none when the state stays the same.
        To: State voption
    }

/// A command of the application.
type Command =
    | Connect
    | Finish
    | Release
    | Abort

type CommandRow = { From: Stage list; Asks: Command list; Does: string; Leads: State voption }

/// The effect of time on a stream with a silent peer: effects for the application, and the next state.
type TimeRow = { Silent: Stage; For: Duration; Tells: string; Becomes: State }

let private carriers = [ PacketType.Data; PacketType.Fin ]
let private ordinary = [ PacketType.Data; PacketType.Fin; PacketType.State ]
let types = ordinary @ [ PacketType.Reset; PacketType.Syn ]

let private established =
    [ Open; WeFinished; WeFinishedAcknowledged; TheyFinished; TheyFinishedThenWe; Released ]

let private live = [ HalfOpen; BothFinished ] @ established
let private wellAcknowledged = [ All; Before ]

let private row stages types numbers acknowledgements gives =
    { In = stages
      On = types
      Of = numbers
      Acknowledging = acknowledgements
      Gives = gives
      To = ValueNone }

let private leads state row = { row with To = ValueSome state }

let packets =
    [ // No stream: one RESET, and none for a RESET. The node listens, so a SYN is answered by a SYN-ACK.
      row [ NoStream; Aborted ] ordinary numbers acknowledgements "RESET [UnknownConnection]"
      row [ NoStream; Aborted ] [ PacketType.Reset ] numbers acknowledgements "[UnknownConnection]"
      row [ NoStream; Aborted ] [ PacketType.Syn ] numbers acknowledgements "STATE" |> leads SynReceived

      // A SYN-ACK is a STATE for our SYN, whatever number it begins with; a STATE confirms it.
      row [ Dialled ] [ PacketType.State ] numbers [ All ] "opened; STATE" |> leads Established
      row [ Dialled ] ordinary numbers acknowledgements "[UnexpectedPacket]"
      row [ Dialled ] [ PacketType.Reset ] numbers [ All ] "closed Refused; [ResetAccepted]"
      |> leads Closed
      row [ Dialled ] [ PacketType.Reset ] numbers acknowledgements "[ResetOutOfRange]"
      // An id belongs to a pair of endpoints and a direction: this would be another stream, and the node does not listen.
      row [ Dialled ] [ PacketType.Syn ] numbers acknowledgements "RESET [NotListening]"

      // The same SYN again asks for the same SYN-ACK, as long as its sender may lack it; any other may not have these ids.
      row [ HalfOpen ] [ PacketType.Syn ] [ Old ] acknowledgements "STATE [RepeatedSyn]"
      row live [ PacketType.Syn ] [ Old ] acknowledgements "[RepeatedSyn]"
      // The ids of a stream in TIME-WAIT are free.
      row [ BothFinished ] [ PacketType.Syn ] numbers acknowledgements "STATE" |> leads SynReceived
      row live [ PacketType.Syn ] numbers acknowledgements "[IdCollision]"

      // A RESET counts if it names the last packet or the next one, or if it could be the peer's in every other way. One that nearly
      // fits is answered by a STATE, which draws another RESET from a peer that does not know the stream.
      row live [ PacketType.Reset ] numbers [ Ancient; Unsent ] "[ResetOutOfRange]"
      row [ HalfOpen; BothFinished ] [ PacketType.Reset ] numbers [ Before ] "[ResetOutOfRange]"
      row established [ PacketType.Reset ] [ Far ] [ Before ] "STATE [ResetOutOfRange]"
      row [ HalfOpen; BothFinished ] [ PacketType.Reset ] numbers wellAcknowledged "[ResetAccepted]"
      |> leads Closed
      row live [ PacketType.Reset ] numbers wellAcknowledged "closed Reset; [ResetAccepted]"
      |> leads Closed

      // An acknowledgement of what was never sent is not the peer's, and neither is one older than all that is under way.
      row live ordinary numbers [ Ancient; Unsent ] "[AckOutOfRange]"

      // The peer that acknowledges the SYN-ACK, and nothing else, receives at its address: the stream is established, then its packet is
      // processed.
      row [ HalfOpen ] ordinary numbers [ Before ] "[AckOutOfRange]"
      row [ HalfOpen ] [ PacketType.State ] numbers wellAcknowledged "accepted" |> leads Established
      row [ HalfOpen ] carriers [ Far ] wellAcknowledged "accepted; [SeqOutOfRange]" |> leads Established
      row [ HalfOpen ] carriers [ Ahead ] wellAcknowledged "accepted; STATE [OutOfOrder]"
      |> leads Established
      row [ HalfOpen ] carriers [ Old ] wellAcknowledged "accepted; STATE [Duplicate]"
      |> leads Established
      row [ HalfOpen ] [ PacketType.Data ] [ Next ] wellAcknowledged "accepted, delivered; STATE"
      |> leads Established
      row [ HalfOpen ] [ PacketType.Fin ] [ Next ] wellAcknowledged "accepted, ended; STATE"
      |> leads CloseWait

      // Out of range: not even its acknowledgement counts.
      row live carriers [ Far ] wellAcknowledged "[SeqOutOfRange]"

      // A STATE's number means nothing.
      row [ Open; TheyFinished ] [ PacketType.State ] numbers [ All ] "writable"
      row [ WeFinished; Released ] [ PacketType.State ] numbers [ All ] "finished, writable"
      |> leads FinWait2
      row [ TheyFinishedThenWe ] [ PacketType.State ] numbers [ All ] "finished, writable, closed Finished"
      |> leads TimeWait
      row live [ PacketType.State ] numbers wellAcknowledged ""

      // In order: delivered, acknowledged within 25 ms.
      row [ Open ] [ PacketType.Data ] [ Next ] [ All ] "delivered, writable; STATE"
      row [ WeFinished ] [ PacketType.Data ] [ Next ] [ All ] "delivered, finished, writable; STATE"
      |> leads FinWait2
      row [ Open; WeFinished ] [ PacketType.Data ] [ Next ] [ Before ] "delivered; STATE"
      row [ WeFinishedAcknowledged ] [ PacketType.Data ] [ Next ] wellAcknowledged "delivered; STATE"
      // The application will not read it: it is not acknowledged, and draws a RESET once everything of ours is.
      row
          [ Released ]
          [ PacketType.Data ]
          [ Next; Ahead ]
          [ All ]
          "finished, writable, closed Released; RESET [DataAfterRelease]"
      |> leads Closed
      row [ Released ] [ PacketType.Data ] [ Next; Ahead ] [ Before ] "[DataAfterRelease]"

      row [ Open ] [ PacketType.Fin ] [ Next ] [ All ] "ended, writable; STATE" |> leads CloseWait
      row [ Open ] [ PacketType.Fin ] [ Next ] [ Before ] "ended; STATE" |> leads CloseWait
      row
          [ WeFinished; Released ]
          [ PacketType.Fin ]
          [ Next ]
          [ All ]
          // The last acknowledgement is ours: over a path without losses, other peers get it several times.
          "ended, finished, writable, closed Finished; STATE STATE STATE"
      |> leads TimeWait
      row [ WeFinished; Released ] [ PacketType.Fin ] [ Next ] [ Before ] "ended; STATE" |> leads LastAck
      row
          [ WeFinishedAcknowledged ]
          [ PacketType.Fin ]
          [ Next ]
          wellAcknowledged
          "ended, closed Finished; STATE STATE STATE"
      |> leads TimeWait

      // Here already, or too early: acknowledged at once.
      row [ Open; TheyFinished ] carriers [ Old ] [ All ] "writable; STATE [Duplicate]"
      row [ WeFinished; Released ] carriers [ Old ] [ All ] "finished, writable; STATE [Duplicate]"
      |> leads FinWait2
      row [ TheyFinishedThenWe ] carriers [ Old ] [ All ] "finished, writable, closed Finished; STATE [Duplicate]"
      |> leads TimeWait
      row established carriers [ Old ] wellAcknowledged "STATE [Duplicate]"
      row [ Open ] carriers [ Ahead ] [ All ] "writable; STATE [OutOfOrder]"
      row [ WeFinished; Released ] carriers [ Ahead ] [ All ] "finished, writable; STATE [OutOfOrder]"
      |> leads FinWait2
      row
          [ Open; WeFinished; WeFinishedAcknowledged; Released ]
          carriers
          [ Ahead ]
          wellAcknowledged
          "STATE [OutOfOrder]"

      // Behind the peer's FIN there is nothing; what it acknowledges counts.
      row [ TheyFinished ] carriers [ Next; Ahead ] [ All ] "writable; [BeyondFin]"
      row [ TheyFinishedThenWe ] carriers [ Next; Ahead ] [ All ] "finished, writable, closed Finished; [BeyondFin]"
      |> leads TimeWait
      row [ TheyFinished; TheyFinishedThenWe ] carriers [ Next; Ahead ] [ Before ] "[BeyondFin]"

      // Both have ended: a repeated FIN, or data, is acknowledged once more, and nothing else happens.
      row [ BothFinished ] carriers [ Old ] wellAcknowledged "STATE [Duplicate]"
      row [ BothFinished ] carriers [ Next; Ahead ] wellAcknowledged "[BeyondFin]" ]

let private command stages commands does = { From = stages; Asks = commands; Does = does; Leads = ValueNone }

let private leading state row = { row with Leads = ValueSome state }

/// What is not listed does nothing.
let commands =
    [ command [ NoStream ] [ Connect ] "SYN" |> leading SynSent
      command [ Dialled ] [ Abort; Release ] "closed Aborted" |> leading Closed
      // The application has not been told of this stream, and is not told now.
      command [ HalfOpen ] [ Abort; Release ] "" |> leading Closed
      command [ Open ] [ Finish; Release ] "FIN" |> leading FinWait1
      command [ TheyFinished ] [ Finish; Release ] "FIN" |> leading LastAck
      command established [ Abort ] "closed Aborted; RESET" |> leading Closed ]

let time =
    [ { Silent = Dialled; For = Time.seconds 60; Tells = "closed ConnectTimeout"; Becomes = Closed }
      { Silent = HalfOpen; For = Time.seconds 40; Tells = ""; Becomes = Closed }
      { Silent = Open; For = Time.seconds 60; Tells = "closed TimedOut"; Becomes = Closed }
      { Silent = WeFinished; For = Time.seconds 60; Tells = "closed TimedOut"; Becomes = Closed }
      { Silent = WeFinishedAcknowledged
        For = Time.seconds 180
        Tells = "closed IdleTimeout"
        Becomes = Closed }
      { Silent = TheyFinished; For = Time.seconds 60; Tells = "closed TimedOut"; Becomes = Closed }
      { Silent = TheyFinishedThenWe; For = Time.seconds 60; Tells = "closed TimedOut"; Becomes = Closed }
      { Silent = Released; For = Time.seconds 5; Tells = "closed Aborted"; Becomes = Closed }
      { Silent = BothFinished; For = Time.seconds 60; Tells = ""; Becomes = Closed } ]
