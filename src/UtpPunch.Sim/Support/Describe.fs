namespace UtpPunch.Sim

open System
open System.Globalization
open System.Text
open UtpPunch.Protocol

/// Events and effects as text, one line each, so that two runs can be compared and a person can read one.
module Describe =
    let private number (value: int64) = value.ToString CultureInfo.InvariantCulture

    let endpoint (value: Endpoint) =
        if Endpoint.isIPv4 value then
            let address = uint32 value.Low
            $"{address >>> 24}.{(address >>> 16) &&& 255u}.{(address >>> 8) &&& 255u}.{address &&& 255u}:{value.Port}"
        else
            $"[{value.High:x16}{value.Low:x16}]:{value.Port}"

    let private bytes (value: ReadOnlySpan<byte>) =
        let mutable hash = 0xCBF29CE484222325UL

        for item in value do
            hash <- (hash ^^^ uint64 item) * 0x100000001B3UL

        number (int64 value.Length) + "#" + hash.ToString("x16", CultureInfo.InvariantCulture)

    let header (header: Header) =
        $"{header.Type} id={header.ConnectionId} ts={header.Timestamp} td={header.TimestampDifference} "
        + $"wnd={header.Window} seq={header.SeqNr.Value} ack={header.AckNr.Value}"

    /// A payload's bytes in one piece.
    let flatten (payload: Payload) =
        let whole = Array.zeroCreate payload.Length
        payload.CopyTo(0, Span<byte>(whole)) |> ignore
        whole

    let effect (effect: Effect) =
        match effect with
        | Effect.Send(remote, train) ->
            $"send {endpoint remote} {header train.Header} x{train.Count} "
            + $"size={train.PacketSize} sack={Convert.ToHexString(train.Sack.Span)} "
            + $"bits={train.Bits:x16} frag={train.MayFragment} {bytes train.Payload.Span}"
        | Effect.Deliver(connId, payload) -> $"deliver {connId} {bytes (ReadOnlySpan<byte>(flatten payload))}"
        | Effect.Accepted(connId, remote, id) -> $"accepted {connId} {endpoint remote} id={id}"
        | Effect.Opened(connId, id) -> $"opened {connId} id={id}"
        | Effect.Writable(connId, room) -> $"writable {connId} {room}"
        | Effect.PacketSized(connId, payload) -> $"sized {connId} {payload}"
        | Effect.Ended connId -> $"ended {connId}"
        | Effect.Finished connId -> $"finished {connId}"
        | Effect.Closed(connId, reason) -> $"closed {connId} {Names.reason reason}"
        | Effect.Foreign(from, datagram) -> $"foreign {endpoint from} {bytes datagram.Span}"
        | Effect.SendDatagram(remote, datagram, hops) -> $"datagram {endpoint remote} hops={hops} {bytes datagram.Span}"
        | Effect.OpenSockets(first, count) -> $"sockets first={first} open={count}"
        | Effect.CloseSockets(first, count, keep) -> $"sockets first={first} close={count} keep={keep}"
        | Effect.Registered(taskId, observed, mapping) -> $"registered {taskId} {endpoint observed} %A{mapping}"
        | Effect.Introduced(taskId, peer) -> $"introduced {taskId} {endpoint peer}"
        | Effect.Punched(taskId, report) ->
            $"punched {taskId} %A{report.Stage} {endpoint report.Remote} %A{report.Kind} dials={report.Dials} sent={report.Sent}"
        | Effect.Discovered(taskId, outcome) -> $"discovered {taskId} %A{outcome}"
        | Effect.Noted(rule, remote) -> $"noted {Names.rule rule} {endpoint remote}"

    let effects (effects: Effect[]) =
        let text = StringBuilder()

        for item in effects do
            text.Append(effect item).Append('\n') |> ignore

        text.ToString()

    /// The stream that an effect names.
    let connIdOf (effect: Effect) =
        match effect with
        | Effect.Deliver(connId, _)
        | Effect.Accepted(connId, _, _)
        | Effect.Opened(connId, _)
        | Effect.Writable(connId, _)
        | Effect.PacketSized(connId, _)
        | Effect.Ended connId
        | Effect.Finished connId
        | Effect.Closed(connId, _) -> ValueSome connId
        | Effect.Send _
        | Effect.Foreign _
        | Effect.SendDatagram _
        | Effect.OpenSockets _
        | Effect.CloseSockets _
        | Effect.Registered _
        | Effect.Introduced _
        | Effect.Punched _
        | Effect.Discovered _
        | Effect.Noted _ -> ValueNone
