namespace UtpPunch.Protocol

open System
open System.Text

/// The tracker of the npm package's example: a client sends `{"name":"SERVER"}` or `{"name":"CLIENT"}`. When both were received, each is sent
/// the other's address, once, and both are forgotten. No address is verified, and nothing is retransmitted, as the package's peers expect.
[<NoComparison>]
type internal LegacyTracker = { Server: Endpoint voption; Client: Endpoint voption; ForgetAt: Instant }

module internal LegacyTracker =
    /// A peer that has waited longer has given up: the example tries for five seconds.
    let private lifetime = Time.seconds 60

    let empty = { Server = ValueNone; Client = ValueNone; ForgetAt = Time.never }

    let isQuestion (datagram: Borrowed) = not datagram.IsEmpty && datagram.Span[0] = byte '{'

    /// The string behind the name "name".
    let private nameIn (datagram: Borrowed) : string =
        let text = Encoding.ASCII.GetString(datagram.Span.Slice(0, min 200 datagram.Length))
        let parts = text.Split '"'
        let key = Array.IndexOf(parts, "name")

        if key >= 0 && key + 2 < parts.Length && parts[key + 1].Trim() = ":" then
            parts[key + 2]
        else
            ""

    let private answer (peer: Endpoint) : Owned =
        let parts = [| for shift in [| 24; 16; 8; 0 |] -> ((uint32 peer.Low >>> shift) &&& 255u).ToString() |]
        let address = String.Join(".", parts)
        Owned(Encoding.ASCII.GetBytes("{\"address\":\"" + address + "\",\"port\":" + peer.Port.ToString() + "}"))

    let receive
        now
        (from: Endpoint)
        (datagram: Borrowed)
        (tracker: LegacyTracker)
        : struct (LegacyTracker * struct (Endpoint * Owned)[]) =
        let tracker = if now >= tracker.ForgetAt then empty else tracker

        let tracker =
            match nameIn datagram with
            // The package speaks IPv4 only.
            | _ when not (Endpoint.isIPv4 from) -> tracker
            | "SERVER" -> { tracker with Server = ValueSome from; ForgetAt = now + lifetime }
            | "CLIENT" -> { tracker with Client = ValueSome from; ForgetAt = now + lifetime }
            | _ -> tracker

        match tracker.Server, tracker.Client with
        | ValueSome server, ValueSome client ->
            struct (empty, [| struct (server, answer client); struct (client, answer server) |])
        | _ -> struct (tracker, [||])
