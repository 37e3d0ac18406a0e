/// Two peers meet although a host that has overheard the tag of their room, but does not know its key, takes part in the room.
module UtpPunch.Sim.Tests.MeetingAttacks

open System
open System.Collections.Generic
open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim

/// What the eavesdropper sends in place of an offer.
[<RequireQualifiedAccess>]
type private ForgedOffer =
    | Random
    /// One of a peer of the room, as it was overheard: it is authentic, but the peer is elsewhere.
    | Replayed

/// Registers again and again in a room, each time as another peer from another port of one address, and acknowledges each introduction. When
/// it has overheard a registration, it repeats the handle and the offer of that, and asks the server to remove it.
[<Sealed>]
type private Eavesdropper(address: Endpoint, server: Endpoint, tag: Owned, forged: ForgedOffer, every: Duration) =
    let cookies = Dictionary<uint16, byte[]>()
    let mutable nextAt = 1L<us>
    let mutable count = 0
    let mutable overheard: Registration voption = ValueNone

    let drawn (index: int) length =
        Array.init length (fun place -> Keyed.byteAt (Keyed.mix (uint64 index + 99UL)) (int64 place))

    let handleOf (port: uint16) = Keyed.mix (uint64 port)
    let socket port = Endpoint.withPort port address

    let send port message =
        { Socket = socket port; To = server; Ttl = 64; Bytes = (PunchWire.encode message).Span.ToArray() }

    let register (port: uint16) (cookie: byte[]) =
        let offer =
            match forged, overheard with
            | ForgedOffer.Replayed, ValueSome it -> it.Offer
            | _ -> Borrowed(drawn (int port) 80)

        send
            port
            (RendezvousMessage.Register
                { Room = tag.AsBorrowed
                  Handle = handleOf port
                  Peer = Borrowed(drawn (1000 + int port) 16)
                  Cookie = Borrowed cookie
                  Attempt = 1uy
                  Stays = false
                  Offer = offer
                  Avoided = Borrowed.Empty })

    /// Leaves in the name of the peer that was overheard, from an address of its own.
    let leave (it: Registration) = send 999us (RendezvousMessage.Leave(it.Room, it.Handle, it.Cookie))

    member _.Overhears(datagram: byte[]) =
        match PunchWire.decode (Borrowed(Array.copy datagram)) with
        | ValueSome(RendezvousMessage.Register it) when not it.Offer.IsEmpty -> overheard <- ValueSome it
        | _ -> ()

    member val Introduced = 0 with get, set

    interface IInternetHost with
        member this.Step(now, arrived) =
            let out = List<FromHost>()

            for incoming in arrived do
                let port = incoming.Socket.Port

                match PunchWire.decode (Borrowed incoming.Bytes) with
                | ValueSome(RendezvousMessage.Challenge(_, _, cookie, _, _)) ->
                    cookies[port] <- cookie.Span.ToArray()
                    out.Add(register port cookies[port])
                | ValueSome(RendezvousMessage.Introduce(handle, it)) ->
                    this.Introduced <- this.Introduced + 1

                    out.Add(
                        send
                            port
                            (RendezvousMessage.Acknowledge(
                                tag.AsBorrowed,
                                handle,
                                Borrowed cookies[port],
                                it.Nonce,
                                0L<us>
                            ))
                    )
                | _ -> ()

            if nextAt <= now then
                nextAt <- now + every
                count <- count + 1
                out.Add(register (uint16 (1000 + count)) (Array.zeroCreate 16))

                match overheard with
                | ValueSome it -> out.Add(leave it)
                | ValueNone -> ()

            out.ToArray()

        member _.Deadline = nextAt
        member _.IsOpen other = Endpoint.isSameAddress other address

/// Hears the registrations of the peers.
[<Sealed>]
type private Watcher(server: Endpoint, peers: Endpoint list) =
    member val Eavesdropper: Eavesdropper voption = ValueNone with get, set

    interface IInternetWatcher with
        member this.Saw(_, _, datagram, event) =
            if
                event = DatagramEvent.Sent
                && datagram.Destination.Equals server
                && List.exists (fun peer -> Endpoint.isSameAddress peer datagram.Source) peers
            then
                this.Eavesdropper |> ValueOption.iter (fun it -> it.Overhears datagram.Bytes)

/// How the meeting of two peers ends beside a number of eavesdroppers, and how long it takes.
let private meet (seed: uint64) forged eavesdroppers every (late: Duration) =
    let mutable watch: Watcher voption = ValueNone

    let relay =
        { new IInternetWatcher with
            member _.Saw(now, name, datagram, event) =
                watch |> ValueOption.iter (fun it -> (it :> IInternetWatcher).Saw(now, name, datagram, event)) }

    let internet = Internet(seed, NetworkConfig.openInternet, relay)
    let server = PunchScenario.addServer internet (seed + 1UL)
    let scenario = { PunchScenario.between [] [] with Seed = seed; Late = late }
    let struct (a, b) = PunchScenario.addPeers internet scenario
    let tag = Secrets.tag (PunchScenario.plan scenario server.Sockets[0] [||]).Room

    let hosts =
        [ for _ in 1..eavesdroppers do
              let address = internet.Open.NewAddress()
              let host = Eavesdropper(address, server.Sockets[0], tag, forged, every)
              internet.AddHost(internet.Open, [| address |], host)
              internet.Wake host
              host ]

    let watcher = Watcher(server.Sockets[0], [ a.Socket; b.Socket ])
    watcher.Eavesdropper <- List.tryHead hosts |> ValueOption.ofOption
    watch <- ValueSome watcher
    internet.RunUntil(Time.seconds 2)
    let began = internet.Now
    let outcome = PunchScenario.meet internet server scenario a b
    struct (outcome, internet.Now - began, hosts |> List.sumBy _.Introduced)

let tests =
    testList
        "attacks on meetings"
        [ for name, forged, eavesdroppers, every, within in
              [ "offers that are not authentic, ten a second", ForgedOffer.Random, 1, 100, 10
                "offers that are not authentic, a hundred a second", ForgedOffer.Random, 1, 10, 10
                "offers that are not authentic, from five addresses", ForgedOffer.Random, 5, 100, 10
                "replayed offers, ten a second", ForgedOffer.Replayed, 1, 100, 10 ] do
              test $"two peers meet beside an eavesdropper that registers with {name}" {
                  let results =
                      [ for index in 1UL .. 20UL do
                            let late = Time.milliseconds (137 * int index)
                            meet (Keyed.mix index) forged eavesdroppers (Time.milliseconds every) late ]

                  let met =
                      results |> List.filter (fun (struct (outcome, _, _)) -> PunchOutcome.isMet outcome) |> List.length

                  let slowest = results |> List.map (fun (struct (_, took, _)) -> took) |> List.max
                  let introduced = results |> List.sumBy (fun (struct (_, _, count)) -> count)

                  printfn
                      $"A6: {name}: {met} of 20 met, the slowest after {int64 slowest / 1000L} ms; {introduced} introductions of the eavesdropper"

                  Expect.equal met 20 "meetings"
                  Expect.isLessThan slowest (Time.seconds within) "the slowest"
              } ]
