/// Shared by the tests of two nodes.
module UtpPunch.Protocol.Tests.Story

open System
open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim
open UtpPunch.Protocol.Tests.ScriptedPeer

let pairOver (options: NodeOptions) ab ba = TwoNodes.over 7UL options ab ba
let pairOf options path = pairOver options path path
let calmPair () = pairOf usual Path.perfect

/// Recognises a datagram by its type.
let isType (packetType: PacketType) (datagram: byte[]) = datagram[0] >>> 4 = byte packetType

/// Drops the first `count` datagrams that a side sends and the condition holds for.
let dropFirst count (side: Side) (condition: byte[] -> bool) (pair: TwoNodes) =
    let mutable left = count
    let before = pair.Filter

    pair.Filter <-
        Func<_, _, _>(fun from datagram ->
            if Object.ReferenceEquals(from, side) && condition datagram && left > 0 then
                left <- left - 1
                false
            else
                isNull before || before.Invoke(from, datagram))

let run (limit: Duration) (pair: TwoNodes) claim (condition: unit -> bool) =
    if not (pair.RunUntil(limit, Func<bool> condition)) then
        failtest $"not within {int64 limit} us: {claim}"

/// Advances the time.
let wait (duration: Duration) (pair: TwoNodes) = pair.Wait duration

/// A dials B; both sides are open.
let connectedIn (dialect: Dialect) (pair: TwoNodes) =
    pair.Tell(pair.B, Event.Listen 16)
    let stream = pair.Connect(pair.A, dialect)
    run (Time.seconds 10) pair "both sides are open" (fun () -> stream.Opened && pair.B.Accepted.Count = 1)
    struct (stream, pair.B.Accepted[0])

let connected pair = connectedIn Dialect.Bep29 pair

let content length = Array.init length (fun i -> Keyed.byteAt 99UL (int64 i))

/// Writes everything at once: it must fit the send buffer.
let write (pair: TwoNodes) (side: Side) (stream: StreamView) (bytes: byte[]) =
    let count = pair.Write(side, stream, ReadOnlySpan<byte>(bytes))
    Expect.equal count bytes.Length "bytes that found room"

let finish (pair: TwoNodes) (side: Side) (stream: StreamView) = pair.Tell(side, Event.Finish stream.ConnId)

let received (stream: StreamView) (bytes: byte[]) claim =
    Expect.isTrue (stream.Received.ToArray().AsSpan().SequenceEqual(bytes)) claim
