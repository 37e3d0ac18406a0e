namespace UtpPunch.Sim

open UtpPunch.Protocol
open UtpPunch.Tracing

/// An adversary off the path that was given all that a SYN-ACK has said: it opens a stream in the name of a host that never asked, which is
/// sent data then. It must not draw more of that by acknowledging what it cannot see (ATTACKS, A2).
[<RequireQualifiedAccess>]
type Blindness =
    /// It repeats the clock of the SYN-ACK.
    | KnowsHandshakeClock
    /// It guesses the clock of the packets that followed.
    | GuessesClock

module Blind =
    let private third = Endpoint.ofIPv4 0x64400001u 1000us
    let private written = 500_000

    let private stepped (now: Instant) events (node: Node) (tell: Effect -> unit) =
        let struct (next, effects) = Node.step now events node
        Array.iter tell effects
        next

    /// The bytes that the third party is sent, those that count as acknowledged, and the number of the adversary's packets.
    let draw (seed: uint64) (blindness: Blindness) : struct (int * int64 * int) =
        let draws = Draws seed
        let mutable now = Time.seconds 5
        let mutable sent = 0
        let mutable accepted = -1
        let mutable answer = Unchecked.defaultof<Header>
        let mutable isOver = false
        let mutable acknowledged = 0L

        let tell effect =
            match effect with
            | Effect.Send(_, train) ->
                if answer.SeqNr.Value = 0us then answer <- train.Header

                for index in 0 .. train.Count - 1 do
                    sent <- sent + train.LengthOf index
            | Effect.Accepted(connId, _, _, _) -> accepted <- connId
            | Effect.Closed _ -> isOver <- true
            | _ -> ()

        let seedBytes = Owned(Array.init 32 (fun i -> Keyed.byteAt seed (int64 i)))
        let mutable node = Node.create NodeOptions.standard seedBytes now
        let said (bytes: byte[]) = Event.Received(third, Datagrams.One(Borrowed bytes, now))
        node <- stepped now [| Event.Listen 4; said (Craft.syn 500us (SeqNr 7us) 99u) |] node tell

        let say ackNr timestamp difference =
            let header = Craft.header PacketType.State 501us (SeqNr 8us) ackNr timestamp difference
            node <- stepped now [| said (Craft.packet header [||]) |] node tell

        let first = now
        now <- now + Time.milliseconds 40
        /// Its own clock, and what it has measured of the SYN-ACK.
        let stamp () = Time.stamp now + 77u
        let difference = Time.stamp first + 77u + 20_000u - answer.Timestamp
        say (answer.SeqNr + -1) (stamp ()) difference
        if accepted < 0 then Check.fail "M5" "the adversary was given too little to open a stream"
        node <- stepped now [| Event.Taken accepted; Event.Write(accepted, Owned(Array.zeroCreate written)) |] node tell
        let mutable packets = 0
        let mutable guess = 0

        let every =
            match blindness with
            | Blindness.KnowsHandshakeClock -> Time.milliseconds 2
            | Blindness.GuessesClock -> Time.milliseconds 210

        let until = now + Time.seconds 8

        while now < until && not isOver do
            now <- now + every

            while Node.deadline node <= now do
                node <- stepped now [||] node tell

            packets <- packets + 1
            guess <- (guess + 1) % 60

            match blindness with
            | Blindness.KnowsHandshakeClock -> say (answer.SeqNr + guess) (stamp ()) difference
            | Blindness.GuessesClock -> say (answer.SeqNr + (guess % 4)) (stamp ()) (draws.Word())

            match Node.stream accepted node with
            | ValueSome stream -> acknowledged <- max acknowledged stream.BytesAcknowledged
            | ValueNone -> ()

        struct (sent, acknowledged, packets)

    /// What the first window and its retransmissions have, at most.
    let private firstWindow = 40_000

    /// S28: blind acknowledgements draw nothing more. Of 60 streams, by chance two at most are acknowledged by a guessed clock.
    let check () =
        for blindness, most in [ Blindness.KnowsHandshakeClock, 0; Blindness.GuessesClock, 2 ] do
            let mutable passed = 0

            for seed in 1UL .. 60UL do
                let struct (sent, acknowledged, packets) = draw seed blindness

                if acknowledged > 0L then
                    passed <- passed + 1
                elif sent > firstWindow then
                    Check.fail "S28" $"%A{blindness}: {packets} packets draw {sent} bytes"

            if passed > most then
                Check.fail "S28" $"%A{blindness}: blind acknowledgements count in {passed} of 60 streams"
