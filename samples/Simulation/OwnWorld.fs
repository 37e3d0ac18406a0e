/// The two sides over the links of the simulator, in virtual time. The seed decides every loss and delay, so a run can be repeated.
module Samples.OwnWorld

open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Sim.Congestion
open UtpPunch.Tracing
open Samples.StopAndWait

type private Happens =
    | Arrives of atReceiver: bool * datagram: byte[]
    | Departs of way: int
    | TimerExpires

type Result = { Delivered: byte list; IsComplete: bool; Took: Duration }

/// Sends the messages over a path each way; ends when all are acknowledged, or after ten minutes of virtual time.
let run (seed: uint64) (path: Path) (messages: byte list) : Result =
    let events = EventQueue<Happens>()
    let mutable now: Instant = 0L<us>
    let mutable number = 0L

    let link way =
        Carrier(
            path,
            Keyed.mix (seed + uint64 way),
            Time.never,
            { new ICarrierHost with
                member _.Arrive(at, datagram, _, _) = events.Place(at, Arrives((way = 0), datagram.Bytes))
                member _.Lost(_, _) = ()
                member _.DepartAt at = events.Place(at, Departs way) }
        )

    let links = [| link 0; link 1 |]
    let addresses = [| Endpoint.ofIPv4 0x0A000001u 1us; Endpoint.ofIPv4 0x0A000002u 1us |]

    let sendAll way datagrams =
        for bytes: byte[] in datagrams do
            number <- number + 1L
            links[way].Offer(now, Datagram(number, addresses[way], addresses[1 - way], bytes, now))

    let mutable sender, first = start now messages
    let mutable receiver = { Expected = 0uy; Delivered = [] }

    let go way (next: Sender, datagrams) =
        sender <- next
        sendAll way datagrams

        if sender.Deadline <> Time.never then events.Place(sender.Deadline, TimerExpires)

    go 0 (sender, first)

    while not sender.Messages.IsEmpty && events.Next < Time.seconds 600 do
        now <- events.Next

        match events.Take() with
        | Departs way -> links[way].Depart now
        | TimerExpires -> if sender.Deadline <= now then go 0 (wake now sender)
        | Arrives(false, datagram) -> go 0 (acknowledged now datagram sender)
        | Arrives(true, datagram) ->
            let next, answers = receive datagram receiver
            receiver <- next
            sendAll 1 answers

    { Delivered = List.rev receiver.Delivered; IsComplete = sender.Messages.IsEmpty; Took = now }

/// A path that loses a fifth of the datagrams and duplicates some.
let lossy = { Path.perfect with Loss = Loss.Each 200; Duplication = 50; CopiesLate = Time.milliseconds 5 }

/// The same, where datagrams overtake each other.
let reordering = { lossy with Reorder = 200; ReorderBy = Time.milliseconds 400 }

/// The property: what was delivered is what was sent, whatever the network did. The first seed that violates it.
let findViolation (path: Path) (runs: int) : uint64 voption =
    let messages = [ for i in 1..40 -> byte i ]

    seq { 1UL .. uint64 runs }
    |> Seq.tryFind (fun seed ->
        let result = run seed path messages
        not result.IsComplete || result.Delivered <> messages)
    |> ValueOption.ofOption
