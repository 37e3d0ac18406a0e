namespace UtpPunch.Protocol

open System

/// An address and a port, and what this node uses with them: one of its sockets, and one of its own addresses. Addresses are IPv6; an IPv4
/// address has its mapped form, ::ffff:a.b.c.d (RFC 4291, 2.5.5.2).
[<Struct; CustomEquality; NoComparison>]
type Endpoint =
    {
        High: uint64
        Low: uint64
        Scope: uint32
        Port: uint16
        /// 0 is the socket that the node is bound to; others are opened for punching only.
        Via: uint16
        /// The own address at which a datagram from there has arrived, and from which the answer leaves: a peer knows this node by the address
        /// that it has asked. The shell numbers its addresses; 0 leaves the choice to the system. How to answer is not who it is: endpoints
        /// that differ in this alone are equal.
        Local: uint16
    }

    member this.Equals(other: Endpoint) =
        this.Low = other.Low
        && this.Port = other.Port
        && this.High = other.High
        && this.Scope = other.Scope
        && this.Via = other.Via

    override this.Equals(other: obj) =
        match other with
        | :? Endpoint as other -> this.Equals other
        | _ -> false

    override this.GetHashCode() = int (this.Hash 0UL)

    /// A hash that is the same in every process. The key is secret, so that senders cannot choose addresses that collide.
    member this.Hash(key: uint64) : uint32 =
        let mutable mixed = (this.Low ^^^ key) * 0x9E3779B97F4A7C15UL

        mixed <-
            (mixed
             ^^^ (mixed >>> 29)
             ^^^ this.High
             ^^^ (uint64 this.Port <<< 32)
             ^^^ (uint64 this.Via <<< 48)
             ^^^ uint64 this.Scope)
            * 0xBF58476D1CE4E5B9UL

        uint32 (mixed >>> 32) ^^^ uint32 mixed

    interface IEquatable<Endpoint> with
        member this.Equals other = this.Equals other

module Endpoint =
    /// The endpoint of an IPv6 address without a scope, given as its halves, most significant byte first.
    let ofIPv6 (high: uint64) (low: uint64) (port: uint16) =
        { High = high; Low = low; Scope = 0u; Port = port; Via = 0us; Local = 0us }

    /// The endpoint of an IPv4 address given as its 32 bits, most significant byte first.
    let ofIPv4 (address: uint32) (port: uint16) = ofIPv6 0UL (0x0000_FFFF_0000_0000UL ||| uint64 address) port

    let isIPv4 (endpoint: Endpoint) = endpoint.High = 0UL && endpoint.Low >>> 32 = 0x0000_FFFFUL

    /// The same address and port, used with another socket of this node.
    let via (socket: uint16) (endpoint: Endpoint) = { endpoint with Via = socket }

    /// The same address and port, used with another address of this node.
    let local (own: uint16) (endpoint: Endpoint) = { endpoint with Local = own }

    /// The same without that address of this node, which is gone: the system chooses another one.
    let forgetLocal (own: uint16) (endpoint: Endpoint) = if endpoint.Local = own then local 0us endpoint else endpoint

    /// The same address with another port.
    let withPort (port: uint16) (endpoint: Endpoint) = { endpoint with Port = port }

    let isSameAddress (a: Endpoint) (b: Endpoint) = a.Low = b.Low && a.High = b.High && a.Scope = b.Scope

    /// What counts as one address: an IPv4 address, or the first 64 bits of an IPv6 one.
    let network (endpoint: Endpoint) =
        { endpoint with
            Low = (if isIPv4 endpoint then endpoint.Low else 0UL)
            Scope = 0u
            Port = 0us
            Via = 0us
            Local = 0us }

    /// 127.0.0.0/8 and ::1.
    let isLoopback (endpoint: Endpoint) =
        if isIPv4 endpoint then
            endpoint.Low >>> 24 &&& 0xFFUL = 127UL
        else
            endpoint.High = 0UL && endpoint.Low = 1UL

    /// No address.
    let nowhere = ofIPv4 0u 0us
