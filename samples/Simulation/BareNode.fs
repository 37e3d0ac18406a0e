/// The core by itself over UDP sockets of this machine: all that a shell must do, in its simplest form.
module Samples.BareNode

open System
open System.Collections.Generic
open System.Diagnostics
open System.Net
open System.Net.Sockets
open System.Security.Cryptography
open UtpPunch.Protocol

/// The core asks for no clock: its time begins anywhere, and must not go back.
let private now () : Instant = Stopwatch.GetElapsedTime(0L).Ticks / 10L * 1L<us>

let private loopback = 0x7F000001u

/// A socket and its node. `told` are the effects for the application.
type Host() =
    let socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp)
    do socket.Bind(IPEndPoint(IPAddress.Loopback, 0))
    let buffer = Array.zeroCreate<byte> 65536
    let told = Queue<Effect>()
    let mutable node = Node.create NodeOptions.standard (Owned(RandomNumberGenerator.GetBytes 32)) (now ())

    let send (remote: Endpoint) (datagram: ReadOnlySpan<byte>) =
        socket.SendTo(datagram, SocketFlags.None, IPEndPoint(IPAddress.Loopback, int remote.Port))
        |> ignore

    /// Performs what goes to the network at once: a train is valid until the next step. What was delivered lies in the received buffer, too.
    let perform effect =
        match effect with
        | Effect.Send(remote, train) ->
            let packet = Array.zeroCreate<byte> 65536

            for index in 0 .. train.Count - 1 do
                let length = train.Write(index, packet.AsSpan())
                send remote (ReadOnlySpan(packet, 0, length))
        | Effect.SendDatagram(remote, datagram, _) -> send remote datagram.Span
        | effect -> told.Enqueue effect

    member _.EndPoint = Endpoint.ofIPv4 loopback (uint16 (socket.LocalEndPoint :?> IPEndPoint).Port)
    member _.Told = told

    /// Whatever has happened is an event; an empty batch lets the node do what is due.
    member _.Step([<ParamArray>] events: Event[]) =
        let struct (next, effects) = Node.step (now ()) events node
        node <- next
        Array.iter perform effects

    /// Waits for a datagram or the node's deadline, but not longer than a time.
    member this.Wait(most: Duration) =
        let wait = max 0L<us> (min most (Node.deadline node - now ()))

        if socket.Poll(TimeSpan.FromMicroseconds(float (int64 wait)), SelectMode.SelectRead) then
            let mutable from: EndPoint = IPEndPoint(IPAddress.Any, 0)
            let length = socket.ReceiveFrom(buffer, &from)
            let remote = Endpoint.ofIPv4 loopback (uint16 (from :?> IPEndPoint).Port)
            let datagram = Borrowed(buffer, 0, length)
            this.Step(Event.Received(remote, Datagrams.One(datagram, now ())))
        else
            this.Step()

    interface IDisposable with
        member _.Dispose() = socket.Dispose()

/// Sends text over a stream from one host to another; what arrives until the peer has ended.
let transfer (text: string) (within: Duration) : string =
    use a = new Host()
    use b = new Host()
    let limit = now () + within
    let arrived = List<byte>()
    let mutable isOver = false
    b.Step(Event.Listen 1)
    // The application names its stream by an even number; the node gives odd ones to those that it accepts.
    a.Step(Event.Connect(2, b.EndPoint, Dialect.Bep29, Time.seconds 5))

    while not isOver && now () < limit do
        for host in [ a; b ] do
            host.Wait(Time.milliseconds 1)

            while host.Told.Count > 0 do
                match host.Told.Dequeue() with
                | Effect.Opened(stream, _) ->
                    host.Step(Event.Write(stream, Owned(Text.Encoding.UTF8.GetBytes text)), Event.Finish stream)
                | Effect.Accepted(stream, _, _, _) -> host.Step(Event.Taken stream)
                | Effect.Deliver(stream, payload) ->
                    let bytes = Array.zeroCreate<byte> payload.Length
                    payload.CopyTo(0, bytes.AsSpan()) |> ignore
                    arrived.AddRange bytes
                    // The receive window opens by what the application has taken.
                    host.Step(Event.Consumed(stream, bytes.Length))
                | Effect.Ended _ -> isOver <- true
                | _ -> ()

    Text.Encoding.UTF8.GetString(arrived.ToArray())
