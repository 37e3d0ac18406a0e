namespace UtpPunch.Tracing

open System
open System.Text
open UtpPunch.Protocol

/// A text is not a trace; the message names the line and says why.
[<Sealed>]
type TraceException(line: int, message: string, inner: exn) =
    inherit FormatException("Line " + line.ToString() + ": " + message, inner)
    new(line, message) = TraceException(line, message, null)
    /// Counted from 1.
    member _.Line = line

/// Single values as text. Everything that reads throws `FormatException`, which says what is wrong.
module internal ValueText =
    /// The version of the format, in the first line of a trace.
    [<Literal>]
    let Version = "3"

    /// Messages and reports quote at most this many characters of a value or line.
    [<Literal>]
    let private Quoted = 400

    let quote (text: string) =
        if isNull text then ""
        elif text.Length <= Quoted then text
        else text.Substring(0, Quoted) + "…"

    let bad (what: string) (text: string) = raise (FormatException("'" + quote text + "' is not a " + what + "."))

    // ---- Numbers ----

    // The minus sign of a culture may be another character.
    let number (value: int64) = if value < 0L then "-" + (0UL - uint64 value).ToString() else value.ToString()

    let parseNumber (text: string) : int64 =
        match Int64.TryParse text with
        | true, value -> value
        | _ -> bad "whole number" text

    let within (least: int64) (most: int64) (text: string) : int64 =
        let value = parseNumber text

        if value < least || value > most then
            bad ("number from " + number least + " to " + number most) text
        else
            value

    /// The largest time, in microseconds: thousands of years, far enough from the limits of 64 bits that sums of times stay within them.
    [<Literal>]
    let MostTime = 0x0FFF_FFFF_FFFF_FFFFL

    let parseTime (text: string) : Instant = Time.microseconds (within -MostTime MostTime text)

    let duration (value: Duration) = if value = Time.never then "never" else number (int64 value)

    let parseDuration (text: string) : Duration =
        if text = "never" then Time.never else Time.microseconds (within -MostTime MostTime text)

    let hex (bytes: ReadOnlySpan<byte>) = Convert.ToHexStringLower bytes

    let parseHex (text: string) : byte[] =
        try
            Convert.FromHexString text
        with :? FormatException ->
            bad "row of pairs of hexadecimal digits" text

    /// 64 bits, as their 8 bytes.
    let bits (value: uint64) = value.ToString "x16"

    let parseBits (text: string) : uint64 =
        match UInt64.TryParse(text, Globalization.NumberStyles.AllowHexSpecifier, null) with
        | true, value when text.Length = 16 && value <> 0UL -> value
        | _ -> bad "row of 8 bytes that are not all zero" text

    let parseName (names: Names<'T>) (text: string) : 'T =
        match Array.IndexOf(names.Texts, text) with
        | -1 -> bad names.What text
        | index -> names.Values[index]

    // ---- Port predictions ----

    let prediction (value: PortPrediction) =
        match value with
        | PortPrediction.Unknown -> "unknown"
        | PortPrediction.EndpointIndependent -> "independent"
        | PortPrediction.Dependent step -> "dependent:" + number (int64 step)

    let parsePrediction (text: string) =
        match text with
        | "unknown" -> PortPrediction.Unknown
        | "independent" -> PortPrediction.EndpointIndependent
        | _ when text.StartsWith("dependent:", StringComparison.Ordinal) ->
            PortPrediction.Dependent(int (within (int64 Int32.MinValue) (int64 Int32.MaxValue) (text.Substring 10)))
        | _ -> bad "port prediction" text

    // ---- Endpoints ----

    let private group (endpoint: Endpoint) (index: int) =
        let half = if index < 4 then endpoint.High else endpoint.Low
        uint16 (half >>> (48 - 16 * (index &&& 3)))

    /// The longest run of at least two zero groups (RFC 5952, 4.2).
    let private gap (endpoint: Endpoint) =
        let mutable best = struct (0, 0)
        let mutable start = 0

        for index in 0..8 do
            if index = 8 || group endpoint index <> 0us then
                let struct (_, length) = best

                if index - start > max 1 length then best <- struct (start, index - start)

                start <- index + 1

        best

    /// 10.0.0.1:5000, [2001:db8::1]:5000, [fe80::1%3]:5000; 10.0.0.1:5000/7 when it is reached by another socket than the first.
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
        if value.Local <> 0us then text.Append('@').Append(value.Local) |> ignore

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
        { Endpoint.ofIPv6 (half 0) (half 4) port with Scope = scope }

    let parseEndpoint (text: string) : Endpoint =
        let colon = text.LastIndexOf ':'

        if colon < 1 then bad "address and port" text

        /// What stands before a mark, and the number from 1 on behind it; 0 if there is no mark.
        let split (mark: char) (text: string) =
            match text.IndexOf mark with
            | -1 -> struct (text, 0us)
            | index -> struct (text.Substring(0, index), uint16 (within 1L 65535L (text.Substring(index + 1))))

        let struct (behind, own) = split '@' (text.Substring(colon + 1))
        let struct (port, via) = split '/' behind
        let port = uint16 (within 0L 65535L port)
        let used = Endpoint.via via >> Endpoint.local own
        let address = text.Substring(0, colon)

        if address.StartsWith '[' && address.EndsWith ']' then
            let inner = address.Substring(1, address.Length - 2)
            let percent = inner.IndexOf '%'

            if percent < 0 then
                parseIPv6 inner 0u port |> used
            else
                let scope = within 0L 0xFFFF_FFFFL (inner.Substring(percent + 1))
                parseIPv6 (inner.Substring(0, percent)) (uint32 scope) port |> used
        else
            let parts = address.Split '.'

            if parts.Length <> 4 then bad "address and port" text

            let value = Array.fold (fun sum part -> (sum <<< 8) ||| uint32 (within 0L 255L part)) 0u parts
            Endpoint.ofIPv4 value port |> used

    let endpoints (values: Endpoint[]) = String.Join(",", values |> Array.map endpoint)

    let parseEndpoints (text: string) : Endpoint[] =
        if text = "" then [||] else text.Split ',' |> Array.map parseEndpoint

    let optionalEndpoint (value: Endpoint voption) =
        match value with
        | ValueSome value -> endpoint value
        | ValueNone -> "none"

    let parseOptionalEndpoint (text: string) : Endpoint voption =
        if text = "none" then ValueNone else ValueSome(parseEndpoint text)
