namespace UtpPunch.Sim

open System.Collections.Generic
open UtpPunch.Protocol

/// The behavior of a stateful firewall for IPv6 that translates nothing (RFC 6092).
type FirewallModel =
    {
        /// What of a remote endpoint a datagram from inside admits (RFC 6092, REC-17).
        Admits: NatBehavior
        /// How long a record lives after a datagram in either direction, without and with an answer (RFC 6092, REC-14).
        Unanswered: Duration
        Answered: Duration
        /// Whether anything is filtered.
        IsFiltering: bool
    }

module FirewallModel =
    let rfc filter = { Admits = filter; Unanswered = Time.seconds 120; Answered = Time.seconds 300; IsFiltering = true }

    /// A router.
    let transparent = { rfc NatBehavior.EndpointIndependent with IsFiltering = false }

    /// Linux connection tracking: `ct state established accept`.
    let conntrack =
        { rfc NatBehavior.AddressAndPortDependent with
            Unanswered = Time.seconds 30
            Answered = Time.seconds 120 }

    /// The three filters of RFC 4787, and Linux.
    let all =
        [| rfc NatBehavior.EndpointIndependent
           rfc NatBehavior.AddressDependent
           rfc NatBehavior.AddressAndPortDependent
           conntrack |]

[<Struct; NoComparison; NoEquality>]
type private Record = { IsReplied: bool; Expires: Instant }

/// A firewall at work, after its model. Endpoints are the same on both sides.
[<Sealed>]
type Firewall(model: FirewallModel) =
    let records = Dictionary<struct (Endpoint * Endpoint), Record>()
    let keyOf inside remote = struct (inside, NatModel.key model.Admits remote)
    let life isReplied = if isReplied then model.Answered else model.Unanswered

    member _.Model = model

    member _.Outbound(now: Instant, source: Endpoint, destination: Endpoint) : Translation =
        let key = keyOf source destination

        let isReplied =
            match records.TryGetValue key with
            | true, record -> record.IsReplied && record.Expires > now
            | _ -> false

        records[key] <- { IsReplied = isReplied; Expires = now + life isReplied }
        Translation.Passed(source, destination)

    member _.Inbound(now: Instant, source: Endpoint, destination: Endpoint) : Translation =
        let key = keyOf destination source

        match records.TryGetValue key with
        | _ when not model.IsFiltering -> Translation.Passed(source, destination)
        | true, record when record.Expires > now ->
            records[key] <- { IsReplied = true; Expires = now + life true }
            Translation.Passed(source, destination)
        | _ -> Translation.Dropped DropCause.Filtered
