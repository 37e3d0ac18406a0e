namespace UtpPunch.Protocol

/// The prefix of a NAT64 (RFC 6146): behind it stand the IPv4 addresses that it reaches (RFC 6052, 2.2).
[<Struct; NoComparison>]
type Nat64Prefix = { High: uint64; Low: uint64; Length: int }

/// IPv4 addresses in IPv6 ones (RFC 6052), and how a host finds its network's prefix (RFC 7050).
module Nat64 =
    /// A name has answers for several prefixes; further ones are ignored.
    [<Literal>]
    let MaxPrefixes = 4

    /// 64:ff9b::/96 (RFC 6052, 2.1).
    let wellKnown = { High = 0x0064_FF9B_0000_0000UL; Low = 0UL; Length = 96 }

    /// RFC 6052, 2.2: "the length of the prefix can be 32, 40, 48, 56, 64, or 96".
    let private isLength length = length = 32 || length = 40 || length = 48 || length = 56 || length = 64 || length = 96

    let private maskOfHigh length =
        if length >= 64 then System.UInt64.MaxValue else ~~~(System.UInt64.MaxValue >>> length)

    let private maskOfLow length = if length = 96 then 0xFFFF_FFFF_0000_0000UL else 0UL

    /// RFC 6052, 2.2: "Bits 64 to 71 of the address are reserved … and MUST be set to zero."
    let private hasZeroOctet (low: uint64) = low >>> 56 = 0UL

    /// No NAT64 has these: multicast, link-local, and ::/32 with loopback, the unspecified and the IPv4-mapped addresses.
    let private isReserved (high: uint64) = high >>> 56 = 0xFFUL || high >>> 54 = 0x3FAUL || high >>> 32 = 0UL

    /// A prefix without bits behind its length; none if no NAT64 may have it.
    let tryCreate (high: uint64) (low: uint64) (length: int) : Nat64Prefix voption =
        if
            isLength length
            && high &&& ~~~(maskOfHigh length) = 0UL
            && low &&& ~~~(maskOfLow length) = 0UL
            && hasZeroOctet low
            && not (isReserved high)
        then
            ValueSome { High = high; Low = low; Length = length }
        else
            ValueNone

    /// The address of an IPv4 endpoint behind the prefix.
    let embed (prefix: Nat64Prefix) (endpoint: Endpoint) : Endpoint =
        let address = endpoint.Low &&& 0xFFFF_FFFFUL
        let length = prefix.Length

        let struct (high, low) =
            if length = 96 then
                struct (0UL, address)
            else
                // What does not fit before bit 64 follows behind bit 71.
                let before = if length = 64 then 0UL else address <<< 32 >>> length
                let behind = if length = 32 then 0UL else address <<< (96 - length) >>> 8
                struct (before, behind)

        { endpoint with High = prefix.High ||| high; Low = prefix.Low ||| low; Scope = 0u }

    let private addressAt length (high: uint64) (low: uint64) : uint32 =
        if length = 96 then
            uint32 low
        else
            let before = if length = 64 then 0UL else high <<< length >>> 32
            let behind = if length = 32 then 0UL else low <<< 8 >>> (96 - length)
            uint32 (before ||| behind)

    /// Whether the NAT64 takes datagrams to that address for its own, whatever stands in it.
    let internal isIn (prefix: Nat64Prefix) (endpoint: Endpoint) =
        endpoint.High &&& maskOfHigh prefix.Length = prefix.High
        && endpoint.Low &&& maskOfLow prefix.Length = prefix.Low

    /// The IPv4 endpoint that stands behind the prefix; none if the endpoint is another one.
    let extract (prefix: Nat64Prefix) (endpoint: Endpoint) : Endpoint voption =
        if not (isIn prefix endpoint) then
            ValueNone
        else
            let address = addressAt prefix.Length endpoint.High endpoint.Low

            let embedded =
                { endpoint with High = 0UL; Low = 0x0000_FFFF_0000_0000UL ||| uint64 address; Scope = 0u }

            // Other bits than those of the two must be zero.
            let again = embed prefix embedded

            if again.High = endpoint.High && again.Low = endpoint.Low then
                ValueSome embedded
            else
                ValueNone

    // ---- Discovery ----

    /// The addresses of ipv4only.arpa: 192.0.0.170 and 192.0.0.171 (RFC 7050, 8.2).
    let private isKnownAddress (address: uint32) = address &&& 0xFFFF_FFFEu = 0xC000_00AAu

    /// The prefix of an answer, and which of the two addresses it is for. The rest of an answer is zero, so it has one place at most.
    let private ofAnswer (answer: Endpoint) : struct (Nat64Prefix * uint32) voption =
        let mutable found = ValueNone

        for length in [| 32; 40; 48; 56; 64; 96 |] do
            let address = addressAt length answer.High answer.Low

            if isKnownAddress address then
                match tryCreate (answer.High &&& maskOfHigh length) (answer.Low &&& maskOfLow length) length with
                | ValueSome prefix when (extract prefix answer).IsSome -> found <- ValueSome struct (prefix, address)
                | _ -> ()

        found

    /// The prefixes that the AAAA answers for ipv4only.arpa show, in their order (RFC 7050, 3). Where there are answers for both of its addresses, a
    /// prefix counts that has both.
    let find (answers: Endpoint[]) : Nat64Prefix[] =
        let found = answers |> Array.map ofAnswer |> Array.filter _.IsSome |> Array.map _.Value

        let hasBoth (pairs: struct (Nat64Prefix * uint32)[]) =
            (pairs |> Array.distinctBy (fun (struct (_, address)) -> address)).Length = 2

        let ofPrefix prefix = found |> Array.filter (fun (struct (other, _)) -> other.Equals prefix)

        found
        |> Array.map (fun (struct (prefix, _)) -> prefix)
        |> Array.distinct
        |> Array.filter (fun prefix -> not (hasBoth found) || hasBoth (ofPrefix prefix))
        |> Array.truncate MaxPrefixes

    // ---- As a value of traces ----

    /// The prefix as an endpoint, whose port is the length.
    let toEndpoint (prefix: Nat64Prefix) = Endpoint.ofIPv6 prefix.High prefix.Low (uint16 prefix.Length)

    let ofEndpoint (endpoint: Endpoint) : Nat64Prefix =
        { High = endpoint.High; Low = endpoint.Low; Length = int endpoint.Port }

    /// Whether `tryCreate` makes it.
    let isValid (prefix: Nat64Prefix) = (tryCreate prefix.High prefix.Low prefix.Length).IsSome
