namespace UtpPunch.Sim

open UtpPunch.Protocol
open UtpPunch.Tracing

/// How a peer lies.
[<RequireQualifiedAccess>]
type Lie =
    /// Acknowledges what was never sent, and what has not arrived yet.
    | AcknowledgesAhead
    /// Advertises a window of 0 and of 1 byte in turn.
    | FlipsWindow
    /// Lets one byte pass at a time, and acknowledges it after four seconds.
    | TakesSingleBytes
    /// Advertises no window at all, for ever.
    | ClosesWindow
    /// Sends data behind a gap that is never filled.
    | LeavesGap
    /// Sends data behind its FIN, and a second FIN.
    | GoesOnAfterFin
    /// Opens streams by the thousand from its own address.
    | FloodsSyns
    /// Sends tiny packets, new and old.
    | FloodsTinyPackets

/// The other end of a stream, which answers as it likes. It knows all that the victim has sent it, and nothing else.
[<Sealed>]
type LyingPeer(seed: uint64, lie: Lie) =
    let draws = Draws seed
    let it = ScriptedPeer(Keyed.mix (seed + 1UL))
    let mutable moves = 0
    let mutable closedWindow = false
    let mutable received = 0
    let mutable most = 0

    /// The number of data packets of the victim that have arrived.
    let arrived () =
        it.Heard
        |> Seq.fold
            (fun most packet ->
                if packet.Header.Type = PacketType.Data || packet.Header.Type = PacketType.Fin then
                    max most (packet.Header.SeqNr - it.First + 1)
                else
                    most)
            0

    let state ackNr = it.Say(PacketType.State, it.Id, it.Next, ackNr, [||], [||])

    let syn () = it.Say(PacketType.Syn, draws.Short(), SeqNr(draws.Short()), SeqNr 0us, [||], [||])

    let move () =
        moves <- moves + 1

        match lie with
        | Lie.AcknowledgesAhead -> state (it.First + (arrived () - 1 + draws.Below 4))
        | Lie.FlipsWindow ->
            closedWindow <- not closedWindow
            it.Window <- if closedWindow then 0u else 1u
            state (it.First + -1)
        | Lie.TakesSingleBytes ->
            it.Window <- 1u
            state (it.First + (arrived () - 1))
        | Lie.ClosesWindow ->
            it.Window <- 0u
            state (it.First + -1)
        | Lie.LeavesGap -> it.SayData(it.Next + (1 + draws.Below 1000), Array.zeroCreate (1 + draws.Below 1400))
        | Lie.GoesOnAfterFin ->
            it.Say(PacketType.Fin, it.Id, it.Next + draws.Below 3, it.First + -1, [||], [||])
            it.SayData(it.Next + draws.Below 8, [| 1uy |])
        | Lie.FloodsSyns ->
            for _ in 1..200 do
                syn ()

            moves <- moves + 199
        | Lie.FloodsTinyPackets ->
            for _ in 1..200 do
                it.SayData(it.Next, [| byte received |])
                received <- received + 1
                if draws.Below 3 > 0 then it.Next <- it.Next + 1

            moves <- moves + 199

    /// With the bytes that are held.
    let measure () = if moves % 16 = 0 then most <- max most (Snapshot.take true it.Node).Length

    member _.Moves = moves
    member _.Peer = it
    /// The most bytes that the node's state has taken.
    member _.Most = most

    /// Lies from the moment the stream is open. The application releases the stream after a while. Returns how much longer it was open.
    member _.Run(every: Duration, releaseAfter: Duration, limit: Duration) : Duration =
        it.Connect()
        it.Answer()
        it.Step [| Event.Listen 16 |]
        it.Write 200_000
        let releaseAt = it.Now + releaseAfter
        let mutable released = false

        while it.Closed.IsNone && it.Now < releaseAt + limit do
            it.Wait every

            if it.Now >= releaseAt && not released then
                released <- true
                it.Step [| Event.Release(0, Time.seconds 5) |]

            move ()
            measure ()

        it.Now - releaseAt

module LyingPeer =
    let all =
        [ Lie.FlipsWindow
          Lie.TakesSingleBytes
          Lie.AcknowledgesAhead
          Lie.ClosesWindow
          Lie.LeavesGap
          Lie.GoesOnAfterFin
          Lie.FloodsSyns
          Lie.FloodsTinyPackets ]

    /// The time-out of the release, and a few retransmissions; a peer that acknowledges slowly has time for its bytes at 4 KiB/s.
    let private longest lie =
        match lie with
        | Lie.FlipsWindow
        | Lie.TakesSingleBytes -> Time.seconds 290
        | _ -> Time.seconds 20

    /// The buffers of one stream, and the tables of a node.
    let private largest = StreamOptions.bep29.SendBuffer + StreamOptions.bep29.ReceiveBuffer + (1 <<< 20)

    /// S30: a released stream ends in a limited time, and the node holds a limited number of bytes and answers with a limited number of
    /// packets, whatever the peer says.
    let check (lie: Lie) (seed: uint64) : Play =
        let peer = LyingPeer(seed, lie)
        // Who acknowledges lets the stream go on as slowly as it acknowledges.
        let slowest = if lie = Lie.AcknowledgesAhead then 50 else 1000
        let every = Time.milliseconds (10 + Keyed.below slowest seed 93 0L)
        let took = peer.Run(every, Time.milliseconds (Keyed.below 8000 seed 94 0L), Time.seconds 60)
        let answers = peer.Peer.Heard.Count

        if took > longest lie then
            Check.fail "S30" $"%A{lie}: a released stream is still open after {int64 took} us"

        if peer.Most > largest then Check.fail "S30" $"%A{lie}: the node takes {peer.Most} bytes"

        if answers > 1_500 + 3 * peer.Moves then
            Check.fail "S30" $"%A{lie}: {peer.Moves} packets draw {answers}"

        { Moves = peer.Moves
          Hash = Keyed.mix (uint64 answers ^^^ uint64 took)
          Rules = [ for struct (_, rule) in peer.Peer.Rules -> rule ] }

    let play (seed: uint64) : Play = check all[Keyed.below all.Length seed 95 0L] seed
