namespace UtpPunch.Tracing

open System
open System.Text
open UtpPunch.Protocol

/// How single values stand in a trace.
module internal TraceWords =
    let bad (what: string) (text: string) = raise (FormatException("'" + text + "' is no " + what + "."))

    // ---- Numbers ----

    // Not every culture writes a minus as we do.
    let number (value: int64) = if value < 0L then "-" + (0UL - uint64 value).ToString() else value.ToString()

    let parseNumber (text: string) : int64 =
        match Int64.TryParse text with
        | true, value -> value
        | _ -> bad "whole number" text

    let within (least: int64) (most: int64) (text: string) : int64 =
        let value = parseNumber text
        if value < least || value > most then bad "number that fits here" text else value

    let duration (value: Duration) = if value = Time.never then "never" else number (int64 value)

    let parseDuration (text: string) : Duration =
        if text = "never" then Time.never else Time.microseconds (parseNumber text)

    let hex (bytes: ReadOnlySpan<byte>) = Convert.ToHexStringLower bytes

    let parseHex (text: string) =
        try
            Convert.FromHexString text
        with :? FormatException ->
            bad "row of hexadecimal digits" text

    /// 64 bits, as their 8 bytes.
    let bits (value: uint64) = value.ToString "x16"

    let parseBits (text: string) : uint64 =
        match UInt64.TryParse(text, Globalization.NumberStyles.AllowHexSpecifier, null) with
        | true, value when text.Length = 16 && value <> 0UL -> value
        | _ -> bad "row of 8 bytes that are not all zero" text

    // ---- Names ----

    let private nameOf (names: struct (string * 'T)[]) (value: 'T) =
        let mutable found: string = null

        for struct (name, item) in names do
            if item.Equals value then found <- name

        if isNull found then
            raise (ArgumentException "This value has no name in traces.")
        else
            found

    let private valueOf (what: string) (names: struct (string * 'T)[]) (text: string) =
        match Array.tryFindIndex (fun (struct (name: string, _)) -> name = text) names with
        | Some index ->
            let struct (_, value) = names[index]
            value
        | None -> bad what text

    let private dialects = [| struct ("bep29", Dialect.Bep29); struct ("utp-punch", Dialect.UtpPunch) |]
    let dialect value = nameOf dialects value
    let parseDialect text = valueOf "dialect" dialects text

    let private types =
        [| struct ("DATA", PacketType.Data)
           struct ("FIN", PacketType.Fin)
           struct ("STATE", PacketType.State)
           struct ("RESET", PacketType.Reset)
           struct ("SYN", PacketType.Syn) |]

    let packetType value = nameOf types value
    let parsePacketType text = valueOf "packet type" types text

    let reason (reason: CloseReason) =
        match reason with
        | CloseReason.Finished -> "Finished"
        | CloseReason.Released -> "Released"
        | CloseReason.Aborted -> "Aborted"
        | CloseReason.ConnectTimeout -> "ConnectTimeout"
        | CloseReason.Refused -> "Refused"
        | CloseReason.Reset -> "Reset"
        | CloseReason.TimedOut -> "TimedOut"
        | CloseReason.IdleTimeout -> "IdleTimeout"
        | CloseReason.Unreachable -> "Unreachable"
        | CloseReason.TooManyConnections -> "TooManyConnections"

    let rule (rule: Rule) =
        match rule with
        | Rule.MalformedExtension -> "MalformedExtension"
        | Rule.UnknownConnection -> "UnknownConnection"
        | Rule.NotListening -> "NotListening"
        | Rule.TooManyConnections -> "TooManyConnections"
        | Rule.HalfOpenEvicted -> "HalfOpenEvicted"
        | Rule.AcceptQueueFull -> "AcceptQueueFull"
        | Rule.HalfOpenExpired -> "HalfOpenExpired"
        | Rule.IdCollision -> "IdCollision"
        | Rule.RepeatedSyn -> "RepeatedSyn"
        | Rule.HandshakeRetransmit -> "HandshakeRetransmit"
        | Rule.AckOutOfRange -> "AckOutOfRange"
        | Rule.SeqOutOfRange -> "SeqOutOfRange"
        | Rule.Duplicate -> "Duplicate"
        | Rule.OutOfOrder -> "OutOfOrder"
        | Rule.WindowOverrun -> "WindowOverrun"
        | Rule.BeyondFin -> "BeyondFin"
        | Rule.DataAfterRelease -> "DataAfterRelease"
        | Rule.UnexpectedPacket -> "UnexpectedPacket"
        | Rule.ResetOutOfRange -> "ResetOutOfRange"
        | Rule.ResetAccepted -> "ResetAccepted"
        | Rule.ResetSuppressed -> "ResetSuppressed"
        | Rule.FastRetransmit -> "FastRetransmit"
        | Rule.LossTolerated -> "LossTolerated"
        | Rule.RetransmitTimeout -> "RetransmitTimeout"
        | Rule.LossProbe -> "LossProbe"
        | Rule.WindowProbe -> "WindowProbe"
        | Rule.KeepAlive -> "KeepAlive"
        | Rule.PathProbe -> "PathProbe"
        | Rule.PathProbeIgnored -> "PathProbeIgnored"
        | Rule.BlackHole -> "BlackHole"
        | Rule.PathShrunk -> "PathShrunk"
        | Rule.ProbeRejected -> "ProbeRejected"
        | Rule.PathLearnt -> "PathLearnt"
        | Rule.OfferRejected -> "OfferRejected"

    let stage (stage: PunchStage) =
        match stage with
        | PunchStage.Open -> "Open"
        | PunchStage.ServerSilent -> "ServerSilent"
        | PunchStage.ServerFull -> "ServerFull"
        | PunchStage.NoPeer -> "NoPeer"
        | PunchStage.NothingHeard -> "NothingHeard"
        | PunchStage.NotHeard -> "NotHeard"
        | PunchStage.NotAgreed -> "NotAgreed"
        | PunchStage.PeerGaveUp -> "PeerGaveUp"
        | PunchStage.Cancelled -> "Cancelled"
        | PunchStage.Rejected -> "Rejected"

    let pathKind (kind: PathKind) =
        match kind with
        | PathKind.Host -> "Host"
        | PathKind.Observed -> "Observed"
        | PathKind.Predicted -> "Predicted"
        | PathKind.Reflexive -> "Reflexive"
        | PathKind.Birthday -> "Birthday"

    // ---- Endpoints ----

    let private group (endpoint: Endpoint) (index: int) =
        let half = if index < 4 then endpoint.High else endpoint.Low
        uint16 (half >>> (48 - 16 * (index &&& 3)))

    /// The longest run of zero groups, two at least (RFC 5952, 4.2).
    let private gap (endpoint: Endpoint) =
        let mutable best = struct (0, 0)
        let mutable start = 0

        for index in 0..8 do
            if index = 8 || group endpoint index <> 0us then
                let struct (_, length) = best

                if index - start > max 1 length then best <- struct (start, index - start)

                start <- index + 1

        best

    /// 10.0.0.1:5000, [2001:db8::1]:5000, [fe80::1%3]:5000; by another socket than the first, 10.0.0.1:5000/7.
    let endpoint (value: Endpoint) =
        let text = StringBuilder()

        if Endpoint.isIPv4 value && value.Scope = 0u then
            let address = uint32 value.Low

            for shift in [| 24; 16; 8; 0 |] do
                text.Append((address >>> shift) &&& 255u) |> ignore
                if shift > 0 then text.Append '.' |> ignore
        else
            let struct (start, length) = gap value
            text.Append '[' |> ignore
            let mutable index = 0

            while index < 8 do
                if length > 0 && index = start then
                    text.Append "::" |> ignore
                    index <- index + length
                else
                    if index > 0 && not (length > 0 && index = start + length) then text.Append ':' |> ignore

                    text.Append((group value index).ToString "x") |> ignore
                    index <- index + 1

            if value.Scope <> 0u then text.Append('%').Append(value.Scope) |> ignore

            text.Append ']' |> ignore

        text.Append(':').Append(value.Port) |> ignore

        if value.Via <> 0us then text.Append('/').Append(value.Via) |> ignore

        text.ToString()

    let private parseGroups (text: string) : uint16[] =
        if text = "" then
            [||]
        else
            text.Split ':'
            |> Array.map (fun group ->
                if group.Length < 1 || group.Length > 4 then
                    bad "group of an IPv6 address" group
                else
                    match UInt16.TryParse(group, Globalization.NumberStyles.AllowHexSpecifier, null) with
                    | true, value -> value
                    | _ -> bad "group of an IPv6 address" group)

    let private parseIPv6 (address: string) (scope: uint32) (port: uint16) : Endpoint =
        let place = address.IndexOf("::", StringComparison.Ordinal)
        let front = parseGroups (if place < 0 then address else address.Substring(0, place))
        let back = if place < 0 then [||] else parseGroups (address.Substring(place + 2))
        let missing = 8 - front.Length - back.Length

        if (if place < 0 then missing <> 0 else missing < 1) then bad "IPv6 address" address

        let groups = Array.concat [| front; Array.zeroCreate missing; back |]
        let half from = Array.fold (fun sum (item: uint16) -> (sum <<< 16) ||| uint64 item) 0UL groups[from .. from + 3]
        { High = half 0; Low = half 4; Scope = scope; Port = port; Via = 0us }

    let parseEndpoint (text: string) : Endpoint =
        let colon = text.LastIndexOf ':'

        if colon < 1 then bad "address and port" text

        let behind = text.Substring(colon + 1)
        let slash = behind.IndexOf '/'
        let port = uint16 (within 0L 65535L (if slash < 0 then behind else behind.Substring(0, slash)))
        let via = if slash < 0 then 0us else uint16 (within 1L 65535L (behind.Substring(slash + 1)))
        let address = text.Substring(0, colon)

        if address.StartsWith '[' && address.EndsWith ']' then
            let inner = address.Substring(1, address.Length - 2)
            let percent = inner.IndexOf '%'

            if percent < 0 then
                parseIPv6 inner 0u port |> Endpoint.via via
            else
                let scope = within 0L 0xFFFF_FFFFL (inner.Substring(percent + 1))
                parseIPv6 (inner.Substring(0, percent)) (uint32 scope) port |> Endpoint.via via
        else
            let parts = address.Split '.'

            if parts.Length <> 4 then bad "address and port" text

            let value = Array.fold (fun sum part -> (sum <<< 8) ||| uint32 (within 0L 255L part)) 0u parts
            Endpoint.ofIPv4 value port |> Endpoint.via via
