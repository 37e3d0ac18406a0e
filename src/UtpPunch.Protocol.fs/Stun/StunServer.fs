namespace UtpPunch.Protocol

open System.Text

[<Sealed>]
type StunServer(software: StunAttribute[], sockets: Endpoint voption[]) =
    member _.Software = software
    member _.Socket number = if number < sockets.Length then sockets[number] else ValueNone

[<Struct; NoComparison>]
type StunAnswer = { Socket: int; Remote: Endpoint; Datagram: Owned }

/// The options of a request, all of them RFC 5780's.
[<Struct; NoComparison>]
type StunRequest =
    {
        /// What to change, as bits of the socket's number.
        Change: int
        /// The port to answer to.
        Port: uint16 voption
        Padding: int voption
    }

    static member Of(request: StunMessage) =
        let mutable options = { Change = 0; Port = ValueNone; Padding = ValueNone }

        for attribute in request.Attributes do
            match attribute with
            | StunAttribute.ChangeRequest(address, port) ->
                options <- { options with Change = (if address then 2 else 0) ||| (if port then 1 else 0) }
            | StunAttribute.ResponsePort port -> options <- { options with Port = ValueSome port }
            | StunAttribute.Padding length -> options <- { options with Padding = ValueSome length }
            | _ -> ()

        options

module StunServer =
    [<Literal>]
    let OtherPort = 1

    [<Literal>]
    let OtherAddress = 2

    [<Literal>]
    let private ChangeRequestKind = 0x0003us

    [<Literal>]
    let private PaddingKind = 0x0026us

    [<Literal>]
    let private ResponsePortKind = 0x0027us

    /// RFC 5780, 7.6 pads up to the MTU. The padding is never longer than that of the request, so that the server amplifies nothing.
    [<Literal>]
    let private MostPadding = 1500

    [<CompiledName "Create">]
    let create software (sockets: Endpoint voption[]) =
        if sockets.Length > 4 || not (Array.exists ValueOption.isSome sockets) then
            invalidArg (nameof sockets) "A STUN server has one to four sockets."

        let name =
            match software with
            | ValueSome name when Encoding.UTF8.GetByteCount(name: string) > 763 ->
                invalidArg (nameof software) "RFC 8489, 14.14: at most 763 bytes."
            | ValueSome name -> [| StunAttribute.Software name |]
            | ValueNone -> [||]

        StunServer(name, Array.copy sockets)

    let private isComplete (server: StunServer) = Array.forall (fun number -> (server.Socket number).IsSome) [| 0..3 |]

    /// The attributes that this server does not support. Without the sockets for it, RFC 5780's attributes are unknown, as they are in RFC
    /// 8489.
    let private unknownOf answering options (request: StunMessage) (server: StunServer) =
        [| if (server.Socket answering).IsNone then ChangeRequestKind
           if options.Padding.IsSome && not (isComplete server) then PaddingKind
           if options.Port.IsSome && not (isComplete server) then ResponsePortKind
           yield! Stun.unknownRequired request |]

    /// Why the request is refused, if it is.
    let private refusalOf answering options request server =
        match unknownOf answering options request server with
        // RFC 5780, 6.1: padding must not be sent to a port that may be another host's.
        | [||] when options.Padding.IsSome && options.Port.IsSome ->
            ValueSome [| StunAttribute.ErrorCode(400, "Bad Request") |]
        | [||] -> ValueNone
        | kinds ->
            ValueSome [| StunAttribute.ErrorCode(420, "Unknown Attribute"); StunAttribute.UnknownAttributes kinds |]

    let private successOf asked answering options from (server: StunServer) =
        [| StunAttribute.XorMappedAddress from

           if isComplete server then
               StunAttribute.ResponseOrigin (server.Socket answering).Value
               // RFC 5780, 7.4: differs in address and port from the socket that was asked, not from the one that answers.
               StunAttribute.OtherAddress (server.Socket(asked ^^^ OtherAddress ^^^ OtherPort)).Value

           match options.Padding with
           | ValueSome length -> StunAttribute.Padding(min MostPadding length)
           | ValueNone -> () |]

    [<CompiledName "Answer">]
    let answer socket (from: Endpoint) datagram (server: StunServer) =
        let mutable request = Unchecked.defaultof<StunMessage>

        // Only well-formed requests are answered: answering answers or errors could make two servers answer each other without end.
        if
            Stun.decode datagram &request <> StunMalformed.None
            || request.Class <> StunClass.Request
            || request.Method <> Stun.Binding
        then
            ValueNone
        else
            let options = StunRequest.Of request
            let answering = socket ^^^ options.Change

            let told kind attributes =
                let message =
                    Stun.encode { request with Class = kind; Attributes = Array.append attributes server.Software }

                if Stun.isFingerprinted datagram then Stun.withFingerprint message else message

            match refusalOf answering options request server with
            | ValueSome refusal -> ValueSome { Socket = socket; Remote = from; Datagram = told StunClass.Error refusal }
            | ValueNone ->
                let attributes = successOf socket answering options from server

                ValueSome
                    { Socket = answering
                      Remote = { from with Port = ValueOption.defaultValue from.Port options.Port }
                      Datagram = told StunClass.Success attributes }
