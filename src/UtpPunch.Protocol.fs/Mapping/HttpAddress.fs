namespace UtpPunch.Protocol

open System
open System.Globalization

/// A URL of a UPnP device, and the endpoint that it names.
[<NoComparison>]
type internal HttpAddress = { Remote: Endpoint; Url: string }

/// Reads the URLs that a device names: its description, and its controls. Any host of the network can answer a search as if it were a router.
/// A request must not leave the network on its behalf, so a URL must be `http`, and name a host by its address; names are not looked up.
module internal HttpAddress =
    [<Literal>]
    let private MaxLength = 512

    let private number (style: NumberStyles) (text: string) =
        match UInt16.TryParse(text, style, NumberFormatInfo.InvariantInfo) with
        | true, value -> ValueSome value
        | _ -> ValueNone

    let private all (parts: uint16 voption[]) =
        if Array.forall ValueOption.isSome parts then
            ValueSome(Array.map ValueOption.get parts)
        else
            ValueNone

    let private readIPv4 (host: string) : Endpoint voption =
        match host.Split '.' |> Array.map (number NumberStyles.None) |> all with
        | ValueSome [| a; b; c; d |] when max (max a b) (max c d) < 256us ->
            ValueSome(Endpoint.ofIPv4 (uint32 a <<< 24 ||| (uint32 b <<< 16) ||| (uint32 c <<< 8) ||| uint32 d) 0us)
        | _ -> ValueNone

    let private groups (text: string) =
        if text = "" then
            ValueSome [||]
        else
            text.Split ':' |> Array.map (number NumberStyles.AllowHexSpecifier) |> all

    let private half (groups: uint16[]) = Array.fold (fun half group -> half <<< 16 ||| uint64 group) 0UL groups

    /// RFC 4291, 2.2, without the form that ends as an IPv4 address.
    let private readIPv6 (host: string) : Endpoint voption =
        let ofGroups (all: uint16[]) = Endpoint.ofIPv6 (half all[..3]) (half all[4..]) 0us

        match host.Split "::" |> Array.map groups with
        | [| ValueSome all |] when all.Length = 8 -> ValueSome(ofGroups all)
        | [| ValueSome left; ValueSome right |] when left.Length + right.Length < 8 ->
            let zeroes = Array.zeroCreate (8 - left.Length - right.Length)
            ValueSome(ofGroups (Array.concat [ left; zeroes; right ]))
        | _ -> ValueNone

    let private ofUri (uri: Uri) =
        let address =
            if uri.HostNameType = UriHostNameType.IPv4 then readIPv4 uri.Host
            elif uri.HostNameType = UriHostNameType.IPv6 then readIPv6 (uri.Host.Trim('[', ']'))
            else ValueNone

        match address with
        | ValueSome endpoint when uri.Scheme = Uri.UriSchemeHttp && uri.UserInfo = "" && uri.Port > 0 ->
            ValueSome { Remote = Endpoint.withPort (uint16 uri.Port) endpoint; Url = uri.AbsoluteUri }
        | _ -> ValueNone

    /// Reads an absolute URL.
    let read (text: string) : HttpAddress voption =
        match Uri.TryCreate(text, UriKind.Absolute) with
        | true, uri when text.Length <= MaxLength -> ofUri uri
        | _ -> ValueNone

    /// Reads a URL that may be relative to another one. It must name the same host.
    let resolve (origin: HttpAddress) (text: string) : HttpAddress voption =
        match Uri.TryCreate(Uri origin.Url, text) with
        | true, uri when text.Length <= MaxLength ->
            match ofUri uri with
            | ValueSome address when
                Endpoint.isSameAddress { address.Remote with Scope = origin.Remote.Scope } origin.Remote
                ->
                ValueSome { address with Remote = { address.Remote with Scope = origin.Remote.Scope } }
            | _ -> ValueNone
        | _ -> ValueNone

    /// Whether two addresses share the first `length` bits of 128, or of 32 if they are IPv4.
    let isSameSubnet length (a: Endpoint) (b: Endpoint) =
        let bits = if Endpoint.isIPv4 a then 96 + length else length

        let mask count =
            if count <= 0 then 0UL
            elif count >= 64 then UInt64.MaxValue
            else ~~~(UInt64.MaxValue >>> count)

        Endpoint.isIPv4 a = Endpoint.isIPv4 b
        && (a.High ^^^ b.High) &&& mask bits = 0UL
        && (a.Low ^^^ b.Low) &&& mask (bits - 64) = 0UL

    /// The first of the longest runs of zeroes, and its length.
    let private longestZeroes (groups: uint64[]) =
        let mutable best = struct (0, 0)
        let mutable from = 0

        for index in 0 .. groups.Length - 1 do
            let struct (_, length) = best

            if groups[index] <> 0UL then from <- index + 1
            elif index + 1 - from > length then best <- struct (from, index + 1 - from)

        best

    let private textOfIPv6 (endpoint: Endpoint) =
        let groups =
            [| for half in [| endpoint.High; endpoint.Low |] do
                   for shift in [| 48; 32; 16; 0 |] do
                       half >>> shift &&& 0xFFFFUL |]

        let join (part: uint64[]) =
            part
            |> Array.map (fun group -> group.ToString("x", NumberFormatInfo.InvariantInfo))
            |> String.concat ":"

        match longestZeroes groups with
        | struct (_, length) when length < 2 -> join groups
        | struct (from, length) -> join groups[.. from - 1] + "::" + join groups[from + length ..]

    /// The address as text. IPv6 is written as RFC 5952 recommends: routers compare texts.
    let toText (endpoint: Endpoint) =
        if Endpoint.isIPv4 endpoint then
            [| 24; 16; 8; 0 |]
            |> Array.map (fun shift -> (endpoint.Low >>> shift &&& 0xFFUL).ToString NumberFormatInfo.InvariantInfo)
            |> String.concat "."
        else
            textOfIPv6 endpoint

    /// The address of a text without a port.
    let ofText (text: string) : Endpoint voption = if text.Contains ':' then readIPv6 text else readIPv4 text
