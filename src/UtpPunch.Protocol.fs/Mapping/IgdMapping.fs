namespace UtpPunch.Protocol

/// What an answer of a UPnP gateway leads to.
[<NoComparison; RequireQualifiedAccess>]
type internal IgdStep =
    /// A further call.
    | Call of call: IgdCall * stage: UpnpStage
    | Mapped of external: Endpoint * isPermanent: bool
    /// This service is of no use.
    | Failed of failure: MapperFailure

/// How a port is mapped by an Internet Gateway Device: its calls in their order, and what its errors lead to. Routers differ in what they
/// accept, so an error that names what is not supported leads to a call without it.
module internal IgdMapping =
    /// A conflict (718), or an action that failed (501), is answered with another port that often.
    [<Literal>]
    let private MaxOtherPorts = 4

    let idle =
        { Stage = UpnpStage.Idle
          Request = 0
          Until = Time.never
          Device = ValueNone
          Controls = [||]
          External = ValueNone
          Port = 0us
          IsPermanent = false
          IsAny = true
          OtherPorts = 0
          Pinhole = ValueNone }

    let private leaseSeconds (options: MapperOptions) (state: UpnpState) =
        if state.IsPermanent then 0L else max 1L (int64 options.Lifetime / 1_000_000L)

    let private isFirewall (control: IgdControl) = control.Service = IgdService.Firewall

    let private adding (options: MapperOptions) (state: UpnpState) =
        let control = state.Controls[0]

        let call =
            if isFirewall control then
                Igd.addPinhole control options.Client (leaseSeconds options state)
            else
                let isAny = state.IsAny && control.Service = IgdService.Ip2
                Igd.add control isAny options.Client state.Port (leaseSeconds options state)

        IgdStep.Call(call, UpnpStage.Adding)

    /// Begins with the first of the services.
    let start (options: MapperOptions) port (state: UpnpState) =
        let state =
            { state with Port = port; External = ValueNone; IsPermanent = false; IsAny = true; OtherPorts = 0 }

        if isFirewall state.Controls[0] then
            struct ({ state with External = ValueSome options.Client }, adding options state)
        else
            struct (state, IgdStep.Call(Igd.externalAddress state.Controls[0], UpnpStage.Asking))

    /// Renews a mapping at the service that has made it.
    let renew (options: MapperOptions) (state: UpnpState) =
        let state = { state with OtherPorts = 0 }

        match state.Pinhole with
        | ValueSome id ->
            let call = Igd.updatePinhole state.Controls[0] id (leaseSeconds options state)
            struct (state, IgdStep.Call(call, UpnpStage.Updating))
        // The address may have changed as well.
        | ValueNone -> struct (state, IgdStep.Call(Igd.externalAddress state.Controls[0], UpnpStage.Asking))

    let private refusal status elements =
        match Igd.numberOf "errorCode" elements with
        | ValueSome code -> MapperFailure.Refused(MapperProtocol.Upnp, int code, Igd.errorName (int code)), int code
        | ValueNone when status = 200 -> MapperFailure.Unusable, 0
        | ValueNone -> MapperFailure.Refused(MapperProtocol.Upnp, status, "HTTP status"), 0

    /// One of the dynamic ports (RFC 6335, 6).
    let private otherPort (draw: uint32) = 49_152us + uint16 (draw % 16_384u)

    let private answerToAdding (options: MapperOptions) draw status elements (state: UpnpState) =
        if status = 200 then
            let state = { state with Pinhole = Igd.numberOf "UniqueID" elements }

            let port =
                if isFirewall state.Controls[0] then
                    options.Client.Port
                else
                    ValueOption.defaultValue state.Port (Igd.numberOf "NewReservedPort" elements)

            let external = Endpoint.withPort port state.External.Value
            struct ({ state with Port = port }, IgdStep.Mapped(external, state.IsPermanent))
        else
            let failure, code = refusal status elements
            let again state = struct (state, adding options state)

            match code with
            | 725
            | 402 when not state.IsPermanent -> again { state with IsPermanent = true }
            | 718
            | 501 when state.OtherPorts < MaxOtherPorts && not (isFirewall state.Controls[0]) ->
                again { state with OtherPorts = state.OtherPorts + 1; Port = otherPort draw }
            | 724 when state.Port <> options.Client.Port -> again { state with Port = options.Client.Port }
            | 401 when state.IsAny -> again { state with IsAny = false }
            | _ -> struct (state, IgdStep.Failed failure)

    let private answerToAsking options status elements (state: UpnpState) =
        match HttpAddress.ofText (Igd.textOf "NewExternalIPAddress" elements) with
        | ValueSome address when status = 200 && Endpoint.isIPv4 address && uint32 address.Low <> 0u ->
            let state = { state with External = ValueSome address }
            struct (state, adding options state)
        | _ when status = 200 -> struct (state, IgdStep.Failed(MapperFailure.NoExternalAddress MapperProtocol.Upnp))
        | _ -> struct (state, IgdStep.Failed(fst (refusal status elements)))

    /// Takes the answer to the outstanding call. `draw` is random.
    let answer (options: MapperOptions) draw status elements (state: UpnpState) =
        match state.Stage with
        | UpnpStage.Asking -> answerToAsking options status elements state
        | UpnpStage.Adding -> answerToAdding options draw status elements state
        | UpnpStage.Updating when status = 200 -> struct (state, IgdStep.Mapped(options.Client, false))
        // The gateway has forgotten the pinhole.
        | UpnpStage.Updating ->
            let state = { state with Pinhole = ValueNone; External = ValueSome options.Client }
            struct (state, adding options state)
        | UpnpStage.Idle
        | UpnpStage.Describing -> struct (state, IgdStep.Failed MapperFailure.Unusable)

    /// The call that deletes what was added, or may have been.
    let deletion (state: UpnpState) : IgdCall voption =
        if state.Controls.Length = 0 then
            ValueNone
        elif isFirewall state.Controls[0] then
            state.Pinhole |> ValueOption.map (Igd.deletePinhole state.Controls[0])
        elif state.Port <> 0us && state.External.IsSome then
            ValueSome(Igd.delete state.Controls[0] state.Port)
        else
            ValueNone
