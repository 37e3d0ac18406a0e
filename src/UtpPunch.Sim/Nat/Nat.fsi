namespace UtpPunch.Sim

open UtpPunch.Protocol

/// A NAT at work, after its `NatModel`. It has a table of mappings (inside endpoint and what of the remote the model asks for, to an
/// outside port), one of sessions (inside endpoint and remote, to outside port and remote), and one of whom was sent to, for the
/// filter. Without `InboundPinsMapping` the sessions decide nothing that the mappings don't. Ports are keyed draws.
[<Sealed>]
type Nat =
    /// With the address that it has outside; its port is of no account.
    new: model: NatModel * address: Endpoint * seed: uint64 -> Nat
    member Model: NatModel
    /// Its address outside, with port 0.
    member Outside: Endpoint
    member IsOutside: endpoint: Endpoint -> bool
    /// A datagram on its way out. The destination changes only where `Inbound` showed the remote under another port.
    member Outbound: now: Instant * source: Endpoint * destination: Endpoint -> Translation
    /// A datagram on its way in. The source changes where the inside endpoint already talks to it by another outside port: two sessions
    /// cannot look the same from inside, so the newcomer is shown under another port, as Linux does it.
    member Inbound: now: Instant * source: Endpoint * destination: Endpoint -> Translation
    /// A datagram from inside to the outside address, according to the model.
    member Hairpin: now: Instant * source: Endpoint * destination: Endpoint -> Translation
    /// Forgets all mappings, and allocates other ports from here on.
    member Rebind: unit -> unit
    /// Maps the port of an inside endpoint for all remote ones, and returns the outside endpoint: the same port, or another one if that is in
    /// use. None if the model has no mapper.
    member Map: now: Instant * inside: Endpoint -> Endpoint voption
    /// Forgets all mappings and gets another address outside (`Internet.Renumber`).
    member internal MoveTo: address: Endpoint -> unit
    /// Sessions that are alive.
    member Sessions: now: Instant -> int
