namespace UtpPunch.Protocol

open System
open System.Globalization
open System.Text

/// An element of an XML document: its depth, 0 at the root; its name without a prefix; and its text, empty if it has children.
[<NoComparison>]
type internal DeviceElement = { Depth: int; Name: string; Text: string }

/// The services of an Internet Gateway Device that map ports, by their priority.
[<RequireQualifiedAccess>]
type internal IgdService =
    /// WANIPConnection:2, with AddAnyPortMapping.
    | Ip2
    | Ip1
    /// WANPPPConnection:1, of routers that dial.
    | Ppp
    /// WANIPv6FirewallControl:1: pinholes.
    | Firewall

/// A service, and where to control it.
[<NoComparison>]
type internal IgdControl = { Service: IgdService; Address: HttpAddress }

/// A call of a service: its action, and its arguments in their order.
[<NoComparison>]
type internal IgdCall = { Control: IgdControl; Action: string; Arguments: struct (string * string)[] }

/// The descriptions of UPnP's Internet Gateway Devices (IGD:1, IGD:2) and the SOAP that controls them. XML is read by the shell.
module internal Igd =
    let private urn service =
        match service with
        | IgdService.Ip2 -> "urn:schemas-upnp-org:service:WANIPConnection:2"
        | IgdService.Ip1 -> "urn:schemas-upnp-org:service:WANIPConnection:1"
        | IgdService.Ppp -> "urn:schemas-upnp-org:service:WANPPPConnection:1"
        | IgdService.Firewall -> "urn:schemas-upnp-org:service:WANIPv6FirewallControl:1"

    let private ofUrn text =
        [| IgdService.Ip2; IgdService.Ip1; IgdService.Ppp; IgdService.Firewall |]
        |> Array.tryFind (fun service -> urn service = text)

    /// More services than a gateway has.
    [<Literal>]
    let private MaxControls = 4

    /// The services in a description that map ports (or open pinholes), the best first.
    let controls (isFirewall: bool) (origin: HttpAddress) (elements: DeviceElement[]) : IgdControl[] =
        let found = ResizeArray<IgdControl>()
        let mutable service = None

        // A serviceType precedes the controlURL of the same service (UDA 1.1, 2.3).
        for element in elements do
            if element.Name = "service" then
                service <- None
            elif element.Name = "serviceType" then
                service <- ofUrn (element.Text.Trim())
            elif element.Name = "controlURL" && found.Count < MaxControls then
                match service, HttpAddress.resolve origin (element.Text.Trim()) with
                | Some service, ValueSome address when (service = IgdService.Firewall) = isFirewall ->
                    found.Add { Service = service; Address = address }
                | _ -> ()

        let priority (control: IgdControl) =
            match control.Service with
            | IgdService.Ip2 -> 0
            | IgdService.Ip1 -> 1
            | IgdService.Ppp -> 2
            | IgdService.Firewall -> 3

        found.ToArray() |> Array.sortBy priority

    let private text (value: int64) = value.ToString NumberFormatInfo.InvariantInfo

    /// Only addresses, numbers and fixed texts are arguments, so nothing needs to be escaped.
    let private argument (struct (name, value): struct (string * string)) = "<" + name + ">" + value + "</" + name + ">"

    /// The header SOAPAction of a call.
    let soapAction (call: IgdCall) = "\"" + urn call.Control.Service + "#" + call.Action + "\""

    let private quoted value = "\u0022" + value + "\u0022"

    let private soap = "http://schemas.xmlsoap.org/soap/"

    /// The body of a call.
    let envelope (call: IgdCall) =
        String.Concat
            [| "<?xml version=" + quoted "1.0" + "?>\r\n"
               "<s:Envelope xmlns:s=" + quoted (soap + "envelope/")
               " s:encodingStyle=" + quoted (soap + "encoding/") + "><s:Body>"
               "<u:" + call.Action + " xmlns:u=" + quoted (urn call.Control.Service) + ">"
               String.Concat(Array.map argument call.Arguments)
               "</u:" + call.Action + "></s:Body></s:Envelope>\r\n" |]
        |> Encoding.UTF8.GetBytes
        |> Owned

    let externalAddress control = { Control = control; Action = "GetExternalIPAddress"; Arguments = [||] }

    /// Maps a port; a lease of 0 s is permanent.
    let add control isAny (client: Endpoint) (externalPort: uint16) (leaseSeconds: int64) =
        { Control = control
          Action = (if isAny then "AddAnyPortMapping" else "AddPortMapping")
          Arguments =
            [| struct ("NewRemoteHost", "")
               struct ("NewExternalPort", text (int64 externalPort))
               struct ("NewProtocol", "UDP")
               struct ("NewInternalPort", text (int64 client.Port))
               struct ("NewInternalClient", HttpAddress.toText client)
               struct ("NewEnabled", "1")
               struct ("NewPortMappingDescription", "uTP")
               struct ("NewLeaseDuration", text leaseSeconds) |] }

    let delete control (externalPort: uint16) =
        { Control = control
          Action = "DeletePortMapping"
          Arguments =
            [| struct ("NewRemoteHost", "")
               struct ("NewExternalPort", text (int64 externalPort))
               struct ("NewProtocol", "UDP") |] }

    /// WANIPv6FirewallControl:1, 2.5.3: any remote host and port; protocol 17 is UDP; at most a day.
    let addPinhole control (client: Endpoint) (leaseSeconds: int64) =
        { Control = control
          Action = "AddPinhole"
          Arguments =
            [| struct ("RemoteHost", "")
               struct ("RemotePort", "0")
               struct ("InternalClient", HttpAddress.toText client)
               struct ("InternalPort", text (int64 client.Port))
               struct ("Protocol", "17")
               struct ("LeaseTime", text (min 86_400L leaseSeconds)) |] }

    let updatePinhole control (id: uint16) (leaseSeconds: int64) =
        { Control = control
          Action = "UpdatePinhole"
          Arguments =
            [| struct ("UniqueID", text (int64 id)); struct ("NewLeaseTime", text (min 86_400L leaseSeconds)) |] }

    let deletePinhole control (id: uint16) =
        { Control = control
          Action = "DeletePinhole"
          Arguments = [| struct ("UniqueID", text (int64 id)) |] }

    /// The text of the first element with a name; empty if there is none.
    let textOf name (elements: DeviceElement[]) =
        match elements |> Array.tryFind (fun element -> element.Name = name) with
        | Some element -> element.Text.Trim()
        | None -> ""

    /// A number that the answer has under a name.
    let numberOf name (elements: DeviceElement[]) : uint16 voption =
        match UInt16.TryParse(textOf name elements, NumberStyles.None, NumberFormatInfo.InvariantInfo) with
        | true, value -> ValueSome value
        | _ -> ValueNone

    /// What an error of an action means.
    let errorName code =
        match code with
        | 401 -> "Invalid Action"
        | 402 -> "Invalid Args"
        | 501 -> "ActionFailed"
        | 606 -> "Action not authorized"
        | 701 -> "PinholeSpaceExhausted"
        | 702 -> "FirewallDisabled"
        | 703 -> "InboundPinholeNotAllowed"
        | 704 -> "NoSuchEntry"
        | 705 -> "ProtocolNotSupported"
        | 714 -> "NoSuchEntryInArray"
        | 715 -> "WildCardNotPermittedInSrcIP"
        | 716 -> "WildCardNotPermittedInExtPort"
        | 718 -> "ConflictInMappingEntry"
        | 724 -> "SamePortValuesRequired"
        | 725 -> "OnlyPermanentLeasesSupported"
        | 726 -> "RemoteHostOnlySupportsWildcard"
        | 727 -> "ExternalPortOnlySupportsWildcard"
        | 728 -> "NoPortMapsAvailable"
        | 729 -> "ConflictWithOtherMechanisms"
        | _ -> "unknown"
