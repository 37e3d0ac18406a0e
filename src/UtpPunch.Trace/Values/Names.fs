namespace UtpPunch.Tracing

open System
open System.Collections.Generic
open UtpPunch.Protocol

/// The values of a type that has few of them, and their names in traces. A value's index here is its tag.
[<Sealed; NoComparison; NoEquality>]
type Names<'T> internal (what: string, items: struct (string * 'T)[]) =
    let texts = [| for struct (text, _) in items -> text |]
    let values = [| for struct (_, value) in items -> value |]

    /// What the values are: "packet type".
    member _.What = what
    member _.Texts = texts
    member _.Values = values

    member _.IndexOf(value: 'T) : int =
        let mutable index = 0

        while index < values.Length && not (EqualityComparer<'T>.Default.Equals(values[index], value)) do
            index <- index + 1

        if index = values.Length then invalidArg (nameof value) "The value has no name in traces."

        index

    member this.Name(value: 'T) = texts[this.IndexOf value]

/// Every name of a case that a trace may hold. Nothing here asks the runtime for names: trimming and native compilation keep them.
module TraceNames =
    [<CompiledName "Flags">]
    let flags = Names<bool>("true or false", [| struct ("false", false); struct ("true", true) |])

    [<CompiledName "PrivateAddresses">]
    let privateAddresses =
        Names<PrivateAddressPolicy>(
            "use of private addresses",
            [| struct ("shared", PrivateAddressPolicy.Shared)
               struct ("always", PrivateAddressPolicy.Always)
               struct ("never", PrivateAddressPolicy.Never) |]
        )

    [<CompiledName "CongestionControls">]
    let congestionControls =
        Names<CongestionControl>(
            "congestion control",
            [| for it in Array.append CongestionControls.all [| CongestionControls.foreign |] -> struct (it.Name, it) |]
        )

    /// The phases of the controllers that come with the library; the first stands for any other.
    [<CompiledName "Phases">]
    let phases =
        Names<string>(
            "phase",
            [| for it in
                   [ "other"
                     "slow-start"
                     "avoidance"
                     "recovery"
                     "slowdown"
                     "startup"
                     "drain"
                     "probe-down"
                     "probe-cruise"
                     "probe-refill"
                     "probe-up"
                     "probe-rtt"
                     "conservative-start" ] -> struct (it, it) |]
        )

    [<CompiledName "Dialects">]
    let dialects =
        Names<Dialect>("dialect", [| struct ("bep29", Dialect.Bep29); struct ("utp-punch", Dialect.UtpPunch) |])

    [<CompiledName "PacketTypes">]
    let packetTypes =
        Names<PacketType>(
            "packet type",
            [| struct ("DATA", PacketType.Data)
               struct ("FIN", PacketType.Fin)
               struct ("STATE", PacketType.State)
               struct ("RESET", PacketType.Reset)
               struct ("SYN", PacketType.Syn) |]
        )

    [<CompiledName "Reasons">]
    let reasons =
        Names<CloseReason>(
            "reason",
            [| struct ("Finished", CloseReason.Finished)
               struct ("Released", CloseReason.Released)
               struct ("Aborted", CloseReason.Aborted)
               struct ("ConnectTimeout", CloseReason.ConnectTimeout)
               struct ("Refused", CloseReason.Refused)
               struct ("Reset", CloseReason.Reset)
               struct ("TimedOut", CloseReason.TimedOut)
               struct ("IdleTimeout", CloseReason.IdleTimeout)
               struct ("Unreachable", CloseReason.Unreachable)
               struct ("TooManyConnections", CloseReason.TooManyConnections) |]
        )

    [<CompiledName "Rules">]
    let rules =
        Names<Rule>(
            "rule",
            [| struct ("MalformedExtension", Rule.MalformedExtension)
               struct ("UnknownConnection", Rule.UnknownConnection)
               struct ("NotListening", Rule.NotListening)
               struct ("TooManyConnections", Rule.TooManyConnections)
               struct ("TooManyFromAddress", Rule.TooManyFromAddress)
               struct ("UnusedEvicted", Rule.UnusedEvicted)
               struct ("SynCookieSent", Rule.SynCookieSent)
               struct ("SynCookieAccepted", Rule.SynCookieAccepted)
               struct ("AcceptQueueFull", Rule.AcceptQueueFull)
               struct ("PeerRefused", Rule.PeerRefused)
               struct ("HalfOpenExpired", Rule.HalfOpenExpired)
               struct ("IdCollision", Rule.IdCollision)
               struct ("RepeatedSyn", Rule.RepeatedSyn)
               struct ("HandshakeRetransmit", Rule.HandshakeRetransmit)
               struct ("AckOutOfRange", Rule.AckOutOfRange)
               struct ("TimestampOutOfRange", Rule.TimestampOutOfRange)
               struct ("SeqOutOfRange", Rule.SeqOutOfRange)
               struct ("Duplicate", Rule.Duplicate)
               struct ("OldDuplicate", Rule.OldDuplicate)
               struct ("OutOfOrder", Rule.OutOfOrder)
               struct ("WindowOverrun", Rule.WindowOverrun)
               struct ("MemoryExhausted", Rule.MemoryExhausted)
               struct ("BeyondFin", Rule.BeyondFin)
               struct ("DataAfterRelease", Rule.DataAfterRelease)
               struct ("UnexpectedPacket", Rule.UnexpectedPacket)
               struct ("ResetOutOfRange", Rule.ResetOutOfRange)
               struct ("ResetAccepted", Rule.ResetAccepted)
               struct ("ResetSuppressed", Rule.ResetSuppressed)
               struct ("FastRetransmit", Rule.FastRetransmit)
               struct ("LossTolerated", Rule.LossTolerated)
               struct ("RetransmitTimeout", Rule.RetransmitTimeout)
               struct ("LossProbe", Rule.LossProbe)
               struct ("WindowProbe", Rule.WindowProbe)
               struct ("KeepAlive", Rule.KeepAlive)
               struct ("PathProbe", Rule.PathProbe)
               struct ("PathProbeIgnored", Rule.PathProbeIgnored)
               struct ("BlackHole", Rule.BlackHole)
               struct ("PathShrunk", Rule.PathShrunk)
               struct ("TrainsLost", Rule.TrainsLost)
               struct ("PathSuspected", Rule.PathSuspected)
               struct ("PathLost", Rule.PathLost)
               struct ("PathSwitched", Rule.PathSwitched)
               struct ("PathTimedOut", Rule.PathTimedOut)
               struct ("ProbeRejected", Rule.ProbeRejected)
               struct ("PathLearnt", Rule.PathLearnt)
               struct ("OfferRejected", Rule.OfferRejected) |]
        )

    [<CompiledName "Stages">]
    let stages =
        Names<PunchStage>(
            "stage of a punch",
            [| struct ("Open", PunchStage.Open)
               struct ("ServerSilent", PunchStage.ServerSilent)
               struct ("ServerFull", PunchStage.ServerFull)
               struct ("NoPeer", PunchStage.NoPeer)
               struct ("NothingHeard", PunchStage.NothingHeard)
               struct ("NotHeard", PunchStage.NotHeard)
               struct ("NotAgreed", PunchStage.NotAgreed)
               struct ("PeerGaveUp", PunchStage.PeerGaveUp)
               struct ("Cancelled", PunchStage.Cancelled)
               struct ("Rejected", PunchStage.Rejected)
               struct ("RoomFull", PunchStage.RoomFull)
               struct ("TooManyPunches", PunchStage.TooManyPunches) |]
        )

    [<CompiledName "PathKinds">]
    let pathKinds =
        Names<PathKind>(
            "kind of path",
            [| struct ("Host", PathKind.Host)
               struct ("Observed", PathKind.Observed)
               struct ("Predicted", PathKind.Predicted)
               struct ("Reflexive", PathKind.Reflexive)
               struct ("Birthday", PathKind.Birthday)
               struct ("Mapped", PathKind.Mapped) |]
        )

    [<CompiledName "NatBehaviors">]
    let natBehaviors =
        Names<NatBehavior voption>(
            "NAT behavior",
            [| struct ("Unknown", ValueNone)
               struct ("EndpointIndependent", ValueSome NatBehavior.EndpointIndependent)
               struct ("AddressDependent", ValueSome NatBehavior.AddressDependent)
               struct ("AddressAndPortDependent", ValueSome NatBehavior.AddressAndPortDependent) |]
        )
