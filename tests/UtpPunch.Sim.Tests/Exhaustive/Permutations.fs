/// Six datagrams in transit at once, in every order of arrival.
module UtpPunch.Sim.Tests.Permutations

open System
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Sim.Tests.Worlds

let rec private permutations (items: 'a list) : 'a list list =
    match items with
    | [] -> [ [] ]
    | _ ->
        [ for index in 0 .. items.Length - 1 do
              for rest in permutations (List.removeAt index items) do
                  items[index] :: rest ]

/// One end of the stream: collects its packets, and the effects for its application.
[<Sealed>]
type private End(options: NodeOptions, seed: uint64, address: uint32) =
    let machine: IMachine = CoreMachine(options, seed, 0L<us>)
    let out = ResizeArray<byte[]>()

    member _.Endpoint = Endpoint.ofIPv4 address 5000us
    member val Now = 0L<us> with get, set
    member val ConnId = -1 with get, set
    member val Read = ResizeArray<byte>() with get
    member val Ended = 0 with get, set
    member val Finished = 0 with get, set
    member val Closed = ResizeArray<CloseReason>() with get
    member val Reads = 0 with get, set

    member this.Tell([<ParamArray>] events: Event[]) =
        for effect in machine.Step(this.Now, events) do
            match effect with
            | Effect.Send(_, train) ->
                for index in 0 .. train.Count - 1 do
                    let datagram = Array.zeroCreate (train.LengthOf index)
                    train.Write(index, Span<byte> datagram) |> ignore
                    out.Add datagram
            | Effect.Opened(connId, _)
            | Effect.Accepted(connId, _, _, _) -> this.ConnId <- connId
            | Effect.Deliver(_, payload) ->
                Expect.equal this.Ended 0 "bytes behind the end"
                this.Read.AddRange(Describe.flatten payload)
            | Effect.Ended _ -> this.Ended <- this.Ended + 1
            | Effect.Finished _ -> this.Finished <- this.Finished + 1
            | Effect.Closed(_, reason) -> this.Closed.Add reason
            | _ -> ()

    /// The datagrams since the last call.
    member _.Out() =
        let sent = out.ToArray()
        out.Clear()
        sent

    member this.Wake() = if machine.Deadline <= this.Now then this.Tell()

    member this.Receive(from: End, datagram: byte[]) =
        this.Tell(Event.Received(from.Endpoint, Datagrams.One(Borrowed datagram, this.Now)))

/// Every millisecond all datagrams in transit arrive, in the order of the permutation.
let private exchange dialect (isEven: bool) (order: int list) =
    let options = { NodeOptions.standard with Dialect = dialect }
    let a = End(options, 5UL, 1u)
    let b = End(options, 6UL, 2u)
    let message = Array.init 20 byte

    let pass () =
        a.Now <- a.Now + 1000L<us>
        b.Now <- a.Now
        let fromA, fromB = a.Out(), b.Out()

        let arranged (datagrams: 'a[]) =
            [ for place in order do
                  if place < datagrams.Length then datagrams[place]
              yield! Array.skip (min order.Length datagrams.Length) datagrams ]

        for datagram in arranged fromA do
            b.Receive(a, datagram)

        for datagram in arranged fromB do
            a.Receive(b, datagram)

        a.Wake()
        b.Wake()
        fromA.Length

    b.Tell(Event.Listen 1)
    a.Tell(Event.Connect(0, b.Endpoint, dialect, Time.seconds 60))

    for _ in 1..4 do
        pass () |> ignore

    b.Tell(Event.Taken b.ConnId)

    // Four packets and the FIN make five; the sixth is the other side's first data, or its FIN.
    for index in 0..4 do
        a.Tell(Event.Write(0, Owned message[4 * index .. 4 * index + 3]))

    a.Tell(Event.Finish 0)

    if isEven then b.Tell(Event.Write(b.ConnId, Owned message), Event.Finish b.ConnId)

    let atOnce = pass ()

    if not isEven then b.Tell(Event.Write(b.ConnId, Owned message), Event.Finish b.ConnId)

    let mutable passes = 0

    while passes < 3_000 && (a.Closed.Count = 0 || b.Closed.Count = 0) do
        pass () |> ignore
        passes <- passes + 1

    for side, name in [ a, "the dialler"; b, "the acceptor" ] do
        Expect.equal (side.Read.ToArray()) message $"what {name} read, in the order {order}"
        Expect.equal (side.Ended, side.Finished) (1, 1) $"{name}'s ends, in the order {order}"
        Expect.equal (List.ofSeq side.Closed) [ CloseReason.Finished ] $"how {name} closed, in the order {order}"

    atOnce

let tests =
    testList
        "permutations"
        [ for dialect, name in [ Dialect.Bep29, "bep29"; Dialect.UtpPunch, "utp-punch" ] do
              for isEven, when' in [ true, "while the peer sends as well"; false, "before the peer sends" ] do
                  test $"five packets and a FIN in each of their 720 orders, {when'}, {name}" {
                      let orders = permutations [ 0..5 ]
                      Expect.equal orders.Length 720 "orders"

                      let atOnce = orders |> List.toArray |> Array.Parallel.map (exchange dialect isEven)

                      Expect.allEqual atOnce 6 "datagrams in transit at once"
                  } ]
