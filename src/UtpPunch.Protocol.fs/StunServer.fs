namespace UtpPunch.Protocol

[<Sealed>]
type StunServer(software: StunAttribute[], sockets: Endpoint voption[]) =
    member _.Software = software
    member _.Socket number = if number < sockets.Length then sockets[number] else ValueNone

[<Struct; NoComparison>]
type StunAnswer = { Socket: int; Remote: Endpoint; Datagram: Bytes }

module StunServer =
    [<Literal>]
    let OtherPort = 1

    [<Literal>]
    let OtherAddress = 2

    [<Literal>]
    let private ChangeRequestKind = 0x0003us

    [<Literal>]
    let private ResponsePortKind = 0x0027us

    [<CompiledName "Create">]
    let create software (sockets: Endpoint voption[]) =
        if sockets.Length > 4 || not (Array.exists ValueOption.isSome sockets) then
            invalidArg (nameof sockets) "A STUN server has one to four sockets."

        let name =
            match software with
            | ValueSome name -> [| StunAttribute.Software name |]
            | ValueNone -> [||]

        StunServer(name, Array.copy sockets)

    let private isComplete (server: StunServer) = Seq.forall (fun number -> (server.Socket number).IsSome) [| 0..3 |]

    /// What the request wants changed, as bits of the socket's number.
    let private changeOf (request: StunMessage) =
        let mutable change = 0

        for attribute in request.Attributes do
            match attribute with
            | StunAttribute.ChangeRequest(address, port) ->
                change <- (if address then OtherAddress else 0) ||| (if port then OtherPort else 0)
            | _ -> ()

        change

    /// Where the request wants its answer: another port of the same address perhaps.
    let private responsePortOf (request: StunMessage) =
        let mutable port = ValueNone

        for attribute in request.Attributes do
            match attribute with
            | StunAttribute.ResponsePort wanted -> port <- ValueSome wanted
            | _ -> ()

        port

    /// The attributes that are not for this server. One that lacks the sockets for what it is asked is one that does not know the
    /// attribute: RFC 8489 itself has none of RFC 5780's.
    let private unknownOf answering (request: StunMessage) (server: StunServer) =
        [| if (server.Socket answering).IsNone then ChangeRequestKind
           if (responsePortOf request).IsSome && not (isComplete server) then ResponsePortKind
           yield! Stun.unknownRequired request |]

    let private success socket from (server: StunServer) =
        [| StunAttribute.XorMappedAddress from
           if isComplete server then StunAttribute.ResponseOrigin (server.Socket socket).Value |]

    /// RFC 5780, 7.4: the other address and the other port of the socket that was asked, not of the one that answers.
    let private other asked (server: StunServer) =
        [| if isComplete server then
               StunAttribute.OtherAddress (server.Socket(asked ^^^ OtherAddress ^^^ OtherPort)).Value |]

    let private refusal unknown =
        [| StunAttribute.ErrorCode(420, "Unknown Attribute"); StunAttribute.UnknownAttributes unknown |]

    [<CompiledName "Answer">]
    let answer socket (from: Endpoint) datagram (server: StunServer) =
        let mutable request = Unchecked.defaultof<StunMessage>

        // Whoever answers answers, or a bad request, can be made to argue with himself.
        if
            Stun.decode datagram &request <> StunMalformed.None
            || request.Class <> StunClass.Request
            || request.Method <> Stun.Binding
        then
            ValueNone
        else
            let answering = socket ^^^ changeOf request
            let unknown = unknownOf answering request server
            let isRefused = unknown.Length > 0

            let answer =
                { request with
                    Class = (if isRefused then StunClass.Error else StunClass.Success)
                    Attributes =
                        Array.concat
                            [| if isRefused then
                                   refusal unknown
                               else
                                   success answering from server
                                   other socket server
                               server.Software |] }

            let datagram =
                if Stun.isFingerprinted datagram then
                    Stun.withFingerprint (Stun.encode answer)
                else
                    Stun.encode answer

            let remote =
                match responsePortOf request with
                | ValueSome port when not isRefused -> { from with Port = port }
                | _ -> from

            ValueSome { Socket = (if isRefused then socket else answering); Remote = remote; Datagram = datagram }
