namespace UtpPunch.Tracing

open System
open System.Collections.Generic
open UtpPunch.Protocol

/// Visits a value to determine its kind and the stream that it names, without changes.
[<Sealed>]
type private Finder() =
    inherit Fields()
    member val Kind: Kind = Unchecked.defaultof<Kind> with get, set
    member val Stream: ConnId voption = ValueNone with get, set
    override this.Begin kind = this.Kind <- kind

    override this.Number(name, _, value) =
        if name = "c" then this.Stream <- ValueSome(int value)
        value

    override _.Time(_, value) = value
    override _.Duration(_, value) = value
    override _.Name(_, _, index) = index
    override _.Word _ = ()
    override _.Endpoint(_, value) = value
    override _.Endpoints(_, value) = value
    override _.OptionalEndpoint(_, value) = value
    override _.Prediction(_, value) = value
    override _.Bytes(_, value) = value
    override _.Datagram(_, value) = value
    override _.Written value = value
    override _.Delivered value = value
    override _.Received(from, datagrams) = struct (from, datagrams)
    override _.Sent(remote, train) = struct (remote, train)

/// A value of every kind, in whose place a reader puts what it reads.
module Templates =
    let private nowhere = Unchecked.defaultof<Endpoint>

    let private plan: MeetPlan =
        { Servers = [||]
          Room = Owned.Empty
          Hosts = [||]
          Stays = false
          Timeout = 0L<us>
          PunchTimeout = 0L<us>
          Birthday = false
          PrimingHops = 0
          PrivateAddresses = PrivateAddressPolicy.Shared
          PathTimeout = 0L<us>
          Reports = false }

    let private discovery: StunOptions =
        { Servers = [||]; Local = ValueNone; Timeout = 0L<us>; TestTimeout = 0L<us>; Behaviour = false }

    let private punched: PunchReport =
        { Stage = PunchStage.Open
          Remote = nowhere
          Kind = PathKind.Host
          RoundTrip = 0L<us>
          Dials = false
          Observed = nowhere
          SeenAs = ValueNone
          Mapping = PortPrediction.Unknown
          PeerObserved = ValueNone
          PeerMapping = PortPrediction.Unknown
          Sent = 0
          Heard = 0
          Elapsed = 0L<us> }

    let private found: StunReport =
        { Server = nowhere
          Mapped = nowhere
          Local = ValueNone
          IsDirect = false
          Mapping = ValueNone
          Filtering = ValueNone
          RoundTrip = ValueNone }

    let private header: Header = Unchecked.defaultof<Header>

    let events: Event[] =
        [| Event.Received(nowhere, Datagrams.One(Borrowed.Empty, 0L<us>))
           Event.Connect(0, nowhere, Dialect.Bep29, 0L<us>)
           Event.ConnectSimultaneously(0, nowhere, 0L<us>, 0)
           Event.Listen 0
           Event.ListenSelectively 0
           Event.Decided(0, false)
           Event.Unlisten
           Event.Taken 0
           Event.Write(0, Owned.Empty)
           Event.Consumed(0, 0)
           Event.Finish 0
           Event.Release(0, 0L<us>)
           Event.Abort 0
           Event.AbortWithCode(0, 0u)
           Event.SetIdleTimeout(0, 0L<us>)
           Event.SetCongestionControl(0, CongestionControls.ledbat)
           Event.Unreachable nowhere
           Event.TooLong(nowhere, 0, 0)
           Event.PortUnreachable(nowhere, Owned.Empty)
           Event.Meet(0, plan)
           Event.MeetAlso(0, 0, plan)
           Event.PunchOffered(0, plan, Owned.Empty, Owned.Empty, false)
           Event.PunchLegacy(0, nowhere, 0)
           Event.Discover(0, discovery)
           Event.Servers(0, [||])
           Event.NetworkChanged [||]
           Event.LocalGone 0us
           Event.Nat64 [||]
           Event.Cancel 0 |]

    let effects: Effect[] =
        [| Effect.Send(nowhere, Train(header, Owned.Empty, Owned.Empty, 0))
           Effect.Deliver(0, Unchecked.defaultof<Payload>)
           Effect.Asked(0, nowhere)
           Effect.Accepted(0, nowhere, 0us, false)
           Effect.Opened(0, 0us)
           Effect.Writable(0, 0, 0)
           Effect.PacketSized(0, 0)
           Effect.PathChanged(0, nowhere)
           Effect.PathLost 0
           Effect.Ended 0
           Effect.Finished 0
           Effect.ResetWithCode(0, 0u)
           Effect.Closed(0, CloseReason.Finished)
           Effect.Foreign(nowhere, Borrowed.Empty)
           Effect.SendDatagram(nowhere, Owned.Empty, 0)
           Effect.SendAlone(nowhere, 0L<us>)
           Effect.OpenSockets(0, 0)
           Effect.CloseSockets(0, 0, 0)
           Effect.Registered(0, nowhere, PortPrediction.Unknown)
           Effect.ServerSilent 0
           Effect.Introduced(0, nowhere)
           Effect.Punched(0, punched)
           Effect.Discovered(0, StunOutcome.Found found)
           Effect.Discovered(0, StunOutcome.Failed(StunFailure.NoAnswer 0L<us>))
           Effect.Discovered(0, StunOutcome.Failed(StunFailure.Refused(0, "")))
           Effect.Discovered(0, StunOutcome.Failed StunFailure.Nonsense)
           Effect.Noted(Rule.MalformedExtension, nowhere) |]

    let options = NodeOptions.standard

    let sample: TraceSample =
        { Stream = 0
          CongestionWindow = 0L
          PacingRate = 0L
          DeliveryRate = 0L
          Phase = ""
          InFlight = 0L
          RoundTrip = 0L<us>
          RetransmitTimeout = 0L<us>
          QueueingDelay = 0L<us>
          TargetDelay = 0L<us>
          PeerWindow = 0L
          BytesAcknowledged = 0L
          BytesReceived = 0L
          Retransmissions = 0L
          Timeouts = 0L }

    let eventKind (event: Event) : Kind =
        let finder = Finder()
        Schema.event finder event |> ignore
        finder.Kind

    let effectKind (effect: Effect) : Kind =
        let finder = Finder()
        Schema.effect finder effect |> ignore
        finder.Kind

    /// The stream that an effect names; none when it names none.
    let streamOf (effect: Effect) : ConnId voption =
        let finder = Finder()
        Schema.effect finder effect |> ignore
        finder.Stream

/// Finds the template of what is to be read, by the word of its line or by its code.
[<Sealed>]
type internal TemplateIndex<'T>(templates: 'T[], kindOf: 'T -> Kind) =
    let byCode = Array.zeroCreate<'T> 256
    let byWord = Dictionary<string, ResizeArray<struct (Kind * 'T)>>(StringComparer.Ordinal)

    do
        for template in templates do
            let kind = kindOf template
            byCode[int kind.Code] <- template

            match byWord.TryGetValue kind.Word with
            | true, known -> known.Add(struct (kind, template))
            | _ -> byWord[kind.Word] <- ResizeArray [ struct (kind, template) ]

    member _.OfCode(code: byte) : 'T = byCode[int code]

    /// None when no kind has this word, or none of those that have it has a field that the line has.
    member _.OfLine(line: TraceLine) : 'T voption =
        match byWord.TryGetValue line.Kind with
        | true, known ->
            let mutable found = ValueNone

            for struct (kind, template) in known do
                if found.IsNone && (kind.Key = "" || line.Has kind.Key || not (isNull (line.Find kind.Key))) then
                    found <- ValueSome template

            found
        | _ -> ValueNone

module internal TemplateIndex =
    let events = TemplateIndex<Event>(Templates.events, Templates.eventKind)
    let effects = TemplateIndex<Effect>(Templates.effects, Templates.effectKind)
