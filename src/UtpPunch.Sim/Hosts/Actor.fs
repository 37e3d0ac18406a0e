namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol

/// A host: its machine, its socket, and the state of its applications and checks.
[<Sealed; AllowNullLiteral>]
type Actor(index: int, host: Host, options: NodeOptions, endpoint: Endpoint, machine: IMachine) =
    let rules = Dictionary<Rule, int>()

    member _.Index = index
    member _.Name = if index = 0 then "A" else "B"
    member _.Host = host
    member _.Endpoint = endpoint
    member _.Machine = machine
    member _.Options = options
    member val Lent = LentBuffers() with get
    member val Inbox = Queue<Datagram>() with get
    member val InboxBytes = 0 with get, set
    /// When the socket is read next, and when the machine's deadline is due; `Time.never` for not at all.
    member val PollAt = Time.never with get, set
    member val TimerAt = Time.never with get, set
    member val Apps = Dictionary<ConnId, App>() with get
    /// The flow of each stream that this host dials, from the connect on.
    member val Dialled = Dictionary<ConnId, int>() with get
    /// The same by the id on the wire, once the stream is open.
    member val Opened = Dictionary<uint16, int>() with get
    member val NextConnId = 0 with get, set
    /// The numbers of received SYNs, by their ids.
    member val Syns = Dictionary<uint16, SeqNr>() with get
    /// The ids of packets with which this host has announced support for probes, and those of the peer.
    member val SaidHello = HashSet<uint16>() with get
    member val HeardHello = HashSet<uint16>() with get
    /// Its clock, which it takes for standing still while it goes back.
    member val Now = Int64.MinValue * 1L<us> with get, set
    /// Whether the core has refused a packet in this step.
    member val HasRefused = false with get, set
    member val BySendId = Dictionary<uint16, Wiretap>() with get
    member val ByReceiveId = Dictionary<uint16, Wiretap>() with get
    member val ByConnId = Dictionary<ConnId, Wiretap>() with get
    /// Whether packets with an id are for or from a stream of this host.
    member this.IsOwnId(id: uint16) = this.ByReceiveId.ContainsKey id || this.BySendId.ContainsKey id
    /// The number of uses of each rule.
    member _.Rules = rules

    member _.Count(rule: Rule) = rules[rule] <- rules.GetValueOrDefault(rule, 0) + 1

    member val Sent = 0L with get, set
    /// Whether its process has exited, which closes its socket.
    member val IsGone = false with get, set
    /// Whether its system sends ICMP's port unreachable after the exit.
    member val Refuses = false with get, set
    /// Bytes received from, and sent to, addresses that belong to no host.
    member val StrangeIn = 0L with get, set
    member val StrangeOut = 0L with get, set
    /// Until when its system gets packets one by one.
    member val AloneUntil = -Time.never with get, set

    /// A stream has closed: another one may use its ids.
    member this.Forget(tap: Wiretap) =
        for taps in [ this.BySendId; this.ByReceiveId ] do
            for KeyValue(id, other) in Seq.toArray taps do
                if obj.ReferenceEquals(tap, other) then taps.Remove id |> ignore

    /// The end of the present suspension; in the past when the host is not suspended.
    member _.FrozenUntil(now: Instant) : Instant =
        let mutable until = 0L<us>

        for from, duration in host.Clock.Freezes do
            if now >= from && now < from + duration then until <- max until (from + duration)

        until

/// The applications of a world, which receive the effects of their streams. They act through `World.Step`.
[<AllowNullLiteral>]
type IApplications =
    /// A stream is `Opened` or `Accepted`; the packets of that step are not checked yet.
    abstract Begin: actor: Actor * effect: Effect -> unit
    /// Each effect of a step, after its packets were sent.
    abstract Tell: actor: Actor * effect: Effect -> unit
    /// The step is over, and the world may be stepped again.
    abstract Stepped: actor: Actor -> unit

/// Observes everything that happens in a world.
type IWatcher =
    /// A step: the world's time and the host's, the events (with the numbers of the datagrams, in order) and the effects (whose datagrams
    /// are numbered from `firstOut` on).
    abstract Step:
        actor: Actor *
        now: Instant *
        local: Instant *
        events: Event[] *
        numbers: int64[] *
        effects: Effect[] *
        firstOut: int64 ->
            unit

    /// A step that ended with an exception.
    abstract Threw:
        actor: Actor * now: Instant * local: Instant * events: Event[] * numbers: int64[] * error: exn -> unit

    /// The fate of a datagram: when it arrives, or why it is lost.
    abstract Delivered:
        now: Instant * from: Actor * datagram: Datagram * at: Instant * waited: Duration * copy: int -> unit

    abstract Lost: now: Instant * from: Actor * datagram: Datagram * cause: string -> unit

/// Observes steps only.
[<Sealed>]
type StepWatcher(see: Actor -> Instant -> Event[] -> Effect[] -> unit) =
    interface IWatcher with
        member _.Step(actor, now, _, events, _, effects, _) = see actor now events effects
        member _.Threw(_, _, _, _, _, _) = ()
        member _.Delivered(_, _, _, _, _, _) = ()
        member _.Lost(_, _, _, _) = ()

/// What is due at an instant of a world.
[<RequireQualifiedAccess; NoComparison; NoEquality>]
type internal Item =
    | Arrive of target: Actor * datagram: Datagram * forged: bool
    | Poll of Actor
    | Timer of Actor
    | Depart of Carrier
    | Call of (unit -> unit)
    | Hint of Actor * remote: Endpoint * size: int * limit: int

/// By instant, then by tie-breaker. Equal to the comparison of tuples, without its generic overhead.
[<Sealed>]
type internal Earliest() =
    interface IComparer<struct (int64 * uint64)> with
        member _.Compare(struct (at, tie), struct (at', tie')) =
            if at = at' then tie.CompareTo tie' else at.CompareTo at'
