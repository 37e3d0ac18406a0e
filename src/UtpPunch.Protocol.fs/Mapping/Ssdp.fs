namespace UtpPunch.Protocol

open System
open System.Text

/// The search for UPnP gateways (UPnP Device Architecture 1.1, section 1.3).
module internal Ssdp =
    [<Literal>]
    let Port = 1900us

    /// 239.255.255.250:1900.
    let multicast = Endpoint.ofIPv4 0xEFFFFFFAu Port

    /// ff02::c, the same for a link of IPv6.
    let multicastIPv6 = Endpoint.ofIPv6 0xFF02_0000_0000_0000UL 0xCUL Port

    /// Longer answers are not read.
    [<Literal>]
    let MaxLength = 2048

    /// What is searched for. Some routers answer to one of them only.
    let private targets =
        [| "urn:schemas-upnp-org:device:InternetGatewayDevice:1"
           "urn:schemas-upnp-org:device:InternetGatewayDevice:2"
           "upnp:rootdevice" |]

    let private search target =
        // A device waits up to MX seconds before it answers.
        "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: "
        + target
        + "\r\n\r\n"
        |> Encoding.ASCII.GetBytes
        |> Owned

    /// The datagrams of a search, each for every destination.
    let searches = Array.map search targets

    /// Whether a datagram begins as an answer to a search does; uTP packets never do.
    let looksLike (datagram: Borrowed) =
        datagram.Length > 12
        && datagram.Length <= MaxLength
        && datagram.Span.StartsWith("HTTP/1."B)
        && datagram.Span.Slice(8).StartsWith(" 200"B)

    let private headerOf (name: string) (lines: string[]) =
        let prefix = name + ":"

        let line =
            lines |> Array.tryFind (fun line -> line.StartsWith(prefix, StringComparison.OrdinalIgnoreCase))

        match line with
        | Some line -> line.Substring(prefix.Length).Trim()
        | None -> ""

    let private isGateway (target: string) =
        target = "upnp:rootdevice"
        || target.StartsWith("urn:schemas-upnp-org:device:InternetGatewayDevice:", StringComparison.Ordinal)

    /// The LOCATION of a gateway's description, if the datagram is an answer of one; a root device may be one. It is not checked yet.
    let location (datagram: Borrowed) : string voption =
        if not (looksLike datagram) then
            ValueNone
        else
            let lines = (Encoding.ASCII.GetString datagram.Span).Split('\n')
            let where = headerOf "LOCATION" lines

            if where <> "" && isGateway (headerOf "ST" lines) then ValueSome where else ValueNone
