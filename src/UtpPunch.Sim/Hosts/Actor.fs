namespace UtpPunch.Sim

open System
open System.Collections.Generic
open UtpPunch.Protocol

/// A host at work: its machine, its socket, and what its applications and the checks know.
[<Sealed; AllowNullLiteral>]
type Actor(index: int, host: Host, options: NodeOptions, endpoint: Endpoint, machine: IMachine) =
    let rules = Dictionary<Rule, int>()

    member _.Index = index
    member _.Name = if index = 0 then "A" else "B"
    member _.Host = host
    member _.Endpoint = endpoint
    member _.Machine = machine
    member val Lent = LentBuffers options with get
    member val Inbox = Queue<Datagram>() with get
    member val InboxBytes = 0 with get, set
    /// When the socket is looked at next, and when the machine's deadline is; `Time.never` for not at all.
    member val PollAt = Time.never with get, set
    member val TimerAt = Time.never with get, set
    member val Apps = Dictionary<ConnId, App>() with get
    /// The flow of each stream that this host dials, from the connect on.
    member val Dialled = Dictionary<ConnId, int>() with get
    /// The same by the id on the wire, once it is open.
    member val Opened = Dictionary<uint16, int>() with get
    member val NextConnId = 0 with get, set
    /// The numbers of the SYNs that came, by their ids.
    member val Syns = Dictionary<uint16, SeqNr>() with get
    /// The ids under which this host has said that it knows of probes, and those under which the peer has.
    member val SaidHello = HashSet<uint16>() with get
    member val HeardHello = HashSet<uint16>() with get
    member val BySendId = Dictionary<uint16, Wiretap>() with get
    member val ByReceiveId = Dictionary<uint16, Wiretap>() with get
    member val ByConnId = Dictionary<ConnId, Wiretap>() with get
    /// Whether packets under an id are for or from a stream of this host.
    member this.IsOwnId(id: uint16) = this.ByReceiveId.ContainsKey id || this.BySendId.ContainsKey id
    /// How often each rule fired.
    member _.Rules = rules

    member _.Count(rule: Rule) = rules[rule] <- rules.GetValueOrDefault(rule, 0) + 1

    member val Sent = 0L with get, set
    /// Bytes that came from and went to addresses that are no host's.
    member val StrangeIn = 0L with get, set
    member val StrangeOut = 0L with get, set

    /// A stream is gone: another one may come to have its ids.
    member this.Forget(tap: Wiretap) =
        for taps in [ this.BySendId; this.ByReceiveId ] do
            for KeyValue(id, other) in Seq.toArray taps do
                if obj.ReferenceEquals(tap, other) then taps.Remove id |> ignore

    /// Until when it stands still; an instant that has passed when it does not.
    member _.FrozenUntil(now: Instant) : Instant =
        let mutable until = 0L<us>

        for from, duration in host.Clock.Freezes do
            if now >= from && now < from + duration then until <- max until (from + duration)

        until

/// Who wants to know of everything that happens in a world.
type IWatcher =
    /// A step: the world's time and the host's, what went in (with the numbers of the datagrams, in order) and what came out (whose
    /// datagrams are numbered from `firstOut` on).
    abstract Step:
        actor: Actor *
        now: Instant *
        local: Instant *
        events: Event[] *
        numbers: int64[] *
        effects: Effect[] *
        firstOut: int64 ->
            unit

    /// The same of a step that ended with an exception.
    abstract Threw:
        actor: Actor * now: Instant * local: Instant * events: Event[] * numbers: int64[] * error: exn -> unit

    /// What became of a datagram: when it arrives, or why it is lost.
    abstract Delivered:
        now: Instant * from: Actor * datagram: Datagram * at: Instant * waited: Duration * copy: int -> unit

    abstract Lost: now: Instant * from: Actor * datagram: Datagram * cause: string -> unit

/// What an instant of a world is for.
[<RequireQualifiedAccess; NoComparison; NoEquality>]
type internal Item =
    | Arrive of target: Actor * datagram: Datagram * forged: bool
    | Poll of Actor
    | Timer of Actor
    | Depart of Carrier
    | Act of Actor * App
    | Dial of flow: int
    | Hint of Actor * remote: Endpoint * size: int * limit: int

/// The earlier instant first, then the lower tie: as tuples compare, without their generic detours.
[<Sealed>]
type internal Earliest() =
    interface IComparer<struct (int64 * uint64)> with
        member _.Compare(struct (at, tie), struct (at', tie')) =
            if at = at' then tie.CompareTo tie' else at.CompareTo at'
