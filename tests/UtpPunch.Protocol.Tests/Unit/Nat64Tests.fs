/// IPv4 addresses behind the prefix of a NAT64 (RFC 6052), how its prefix is found (RFC 7050), and where a node translates.
module UtpPunch.Protocol.Tests.Nat64Tests

open System
open System.Net
open Expecto
open FsCheck
open FsCheck.FSharp
open UtpPunch.Protocol

let private property name check = testPropertyWithConfig { FsCheckConfig.defaultConfig with maxTest = 1000 } name check

let private ofText (text: string) : Endpoint =
    let bytes = (IPAddress.Parse text).GetAddressBytes()
    let half (from: int) = Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(ReadOnlySpan(bytes, from, 8))

    if bytes.Length = 4 then
        Endpoint.ofIPv4 (Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(ReadOnlySpan bytes)) 0us
    else
        Endpoint.ofIPv6 (half 0) (half 8) 0us

let private tryPrefix (text: string) length =
    let address = ofText text
    Nat64.tryCreate address.High address.Low length

let private prefix (text: string) length =
    match tryPrefix text length with
    | ValueSome prefix -> prefix
    | ValueNone -> failtest $"{text}/{length} is a prefix"

let private lengths = [| 32; 40; 48; 56; 64; 96 |]

/// Any prefix that a NAT64 may have: below 2000::/3, 64::/16 and fd00::/8.
let private prefixes: Gen<Nat64Prefix> =
    gen {
        let! length = Gen.elements lengths
        let! first = Gen.elements [ 0x2001UL; 0x3FFEUL; 0x0064UL; 0xFD12UL ]
        let! high = ArbMap.defaults |> ArbMap.generate<uint64>
        let! low = ArbMap.defaults |> ArbMap.generate<uint32>
        // Some have what looks like an answer in themselves.
        let! looksAlike = Gen.elements [ false; false; true ]
        let high = if looksAlike then (high &&& 0xFFFF_FFFF_0000_0000UL) ||| 0xC000_00AAUL else high
        let high = (first <<< 48) ||| (high >>> 16 <<< 16 >>> 16)
        let mask = if length >= 64 then UInt64.MaxValue else ~~~(UInt64.MaxValue >>> length)
        let low = if length = 96 then uint64 low <<< 40 >>> 8 &&& 0x00FF_FFFF_0000_0000UL else 0UL

        match Nat64.tryCreate (high &&& mask) low length with
        | ValueSome prefix -> return prefix
        | ValueNone -> return failtest $"a prefix of {length} bits"
    }

let private addresses: Gen<Endpoint> =
    gen {
        let! address = ArbMap.defaults |> ArbMap.generate<uint32>
        let! port = ArbMap.defaults |> ArbMap.generate<uint16>
        return Endpoint.ofIPv4 address port
    }

let private both = Arb.fromGen (Gen.zip prefixes addresses)
let private known = [| ofText "192.0.0.170"; ofText "192.0.0.171" |]
let private answersOf prefix = known |> Array.map (Nat64.embed prefix)

/// RFC 6052, 2.4, tables 1 and 2: 192.0.2.33 behind these.
let private examples =
    [ "2001:db8::", 32, "2001:db8:c000:221::"
      "2001:db8:100::", 40, "2001:db8:1c0:2:21::"
      "2001:db8:122::", 48, "2001:db8:122:c000:2:2100::"
      "2001:db8:122:300::", 56, "2001:db8:122:3c0:0:221::"
      "2001:db8:122:344::", 64, "2001:db8:122:344:c0:2:2100::"
      "2001:db8:122:344::", 96, "2001:db8:122:344::192.0.2.33"
      "64:ff9b::", 96, "64:ff9b::192.0.2.33" ]

let private forms =
    [ test "the examples of RFC 6052, 2.4" {
          for text, length, expected in examples do
              let embedded = Nat64.embed (prefix text length) (ofText "192.0.2.33")
              Expect.equal embedded (ofText expected) $"{text}/{length}"
              Expect.equal (Nat64.extract (prefix text length) embedded) (ValueSome(ofText "192.0.2.33")) "and back"
      }
      property
          "an address that was embedded is extracted again, with its port and socket, and bits 64 to 71 are zero"
          (Prop.forAll both (fun (prefix, address) ->
              let address = Endpoint.via 3us address
              let embedded = Nat64.embed prefix address
              Expect.equal (Nat64.extract prefix embedded) (ValueSome address) "the address"
              Expect.equal (embedded.Low >>> 56) 0UL "the octet"
              Expect.isFalse (Endpoint.isIPv4 embedded) "an IPv6 address"))
      property
          "what is extracted is embedded in one way only"
          (Prop.forAll both (fun (prefix, address) ->
              let embedded = Nat64.embed prefix address

              for bit in 0..63 do
                  for other in
                      [ { embedded with High = embedded.High ^^^ (1UL <<< bit) }
                        { embedded with Low = embedded.Low ^^^ (1UL <<< bit) } ] do
                      match Nat64.extract prefix other with
                      | ValueSome extracted -> Expect.equal (Nat64.embed prefix extracted) other "the same again"
                      | ValueNone -> ()))
      test "prefixes that no NAT64 has are refused" {
          for text, length in
              [ "2001:db8::", 33
                "2001:db8::", 128
                "2001:db8::", 0
                "2001:db8:1::", 32
                "2001:db8:0:0:100::", 96
                "2001:db8::1:0:0", 64
                "::", 96
                "::ffff:0:0", 96
                "fe80::", 64
                "ff02::", 96 ] do
              Expect.equal (tryPrefix text length) ValueNone $"{text}/{length}"
      } ]

let private discovery =
    [ property
          "the prefix is found in the answers for both addresses, and in one of them"
          (Prop.forAll both (fun (prefix, _) ->
              let answers = answersOf prefix
              Expect.equal (Nat64.find answers) [| prefix |] "both"
              Expect.equal (Nat64.find answers[..0]) [| prefix |] "the first one"
              Expect.equal (Nat64.find answers[1..]) [| prefix |] "the second one"))
      property
          "several prefixes are found in the order of the answers"
          (Prop.forAll (Arb.fromGen (Gen.zip prefixes prefixes)) (fun (one, other) ->
              let found = Nat64.find (Array.append (answersOf one) (answersOf other))
              Expect.equal found (Array.distinct [| one; other |]) "both"))
      test "of answers for both addresses, one with another prefix does not count" {
          let answers =
              [| yield! answersOf (prefix "2001:db8::" 96); Nat64.embed (prefix "2001:db8:1::" 96) known[0] |]

          Expect.equal (Nat64.find answers) [| prefix "2001:db8::" 96 |] "the one that has both"
      }
      test "other answers show no prefix" {
          for text in [ "2001:db8::1"; "64:ff9b::192.0.2.33"; "::ffff:192.0.0.170"; "192.0.0.170"; "fe80::192.0.0.170" ] do
              Expect.isEmpty (Nat64.find [| ofText text |]) text

          Expect.isEmpty (Nat64.find [||]) "none"
      }
      property "any answers: a few valid prefixes" (fun (words: (uint64 * uint64)[]) ->
          let found = words |> Array.map (fun (high, low) -> Endpoint.ofIPv6 high low 0us) |> Nat64.find
          Expect.isLessThanOrEqual found.Length Nat64.MaxPrefixes "a few"
          Expect.all found Nat64.isValid "valid") ]

// ---- The node ----

let private start = Node.create NodeOptions.standard (Owned(Array.zeroCreate 32)) 0L<us>
let private server = Endpoint.withPort 3000us (ofText "198.51.100.1")
let private wkp = Nat64.wellKnown

let private run (events: Event list) (node: Node) = Node.step 1000L<us> (List.toArray events) node

let private targets (effects: Effect[]) =
    [ for effect in effects do
          match effect with
          | Effect.Send(remote, _)
          | Effect.SendDatagram(remote, _, _) -> remote
          | _ -> () ]

let private connect remote = Event.Connect(2, remote, Dialect.Bep29, Time.seconds 10)

/// The RESET that a node answers to a packet of no stream.
let private stray =
    let packet = Array.zeroCreate<byte> 20
    packet[0] <- 0x21uy
    packet[3] <- 9uy
    Datagrams.One(Borrowed packet, 0L<us>)

let private node =
    [ test "a SYN to an IPv4 address leaves for the address behind the prefix" {
          let struct (_, effects) = run [ Event.Nat64 [| wkp |]; connect server ] start
          Expect.equal (targets effects) [ Nat64.embed wkp server ] "the SYN"
      }
      test "addresses that are not public are not translated: the NAT64 would lead elsewhere" {
          for text in
              [ "127.0.0.1"; "10.0.0.1"; "172.16.0.1"; "192.168.1.1"; "100.64.0.1"; "169.254.1.1"; "2001:db8::1" ] do
              let remote = Endpoint.withPort 3000us (ofText text)
              let struct (_, effects) = run [ Event.Nat64 [| wkp |]; connect remote ] start
              Expect.equal (targets effects) [ remote ] text
      }
      test "what comes from behind the prefix comes from the IPv4 address, and is answered there" {
          let struct (_, effects) =
              run [ Event.Nat64 [| wkp |]; Event.Received(Nat64.embed wkp server, stray) ] start

          Expect.equal (targets effects) [ Nat64.embed wkp server ] "the RESET"

          let noted =
              effects
              |> Array.choose (fun effect ->
                  match effect with
                  | Effect.Noted(_, remote) -> Some remote
                  | _ -> None)

          Expect.contains noted server "the IPv4 address"
      }
      test "without a prefix, or with one that is none, nothing is translated" {
          for prefixes in [ [||]; [| { wkp with Length = 41 } |] ] do
              let struct (_, effects) = run [ Event.Nat64 prefixes; connect server ] start
              Expect.equal (targets effects) [ server ] "the SYN"
      }
      test "a prefix that is gone is not used any more, and another one is" {
          let other = prefix "2001:db8:64::" 96
          let struct (node, _) = run [ Event.Nat64 [| wkp |] ] start
          let struct (_, effects) = run [ Event.Nat64 [||]; connect server ] node
          Expect.equal (targets effects) [ server ] "none"
          let struct (_, effects) = run [ Event.Nat64 [| other |]; connect server ] node
          Expect.equal (targets effects) [ Nat64.embed other server ] "another one"
      }
      test "a stream to the IPv6 form of an address opens, whether the prefix is known before or afterwards" {
          let form = Nat64.embed wkp server

          let orders =
              [ [ Event.Nat64 [| wkp |]; connect form ], []; [ connect form ], [ Event.Nat64 [| wkp |] ] ]

          for before, after in orders do
              let struct (node, effects) = run before start

              let syn =
                  effects
                  |> Array.pick (fun effect ->
                      match effect with
                      | Effect.Send(remote, train) when remote.Equals form -> Some train.Header
                      | _ -> None)

              let answer = Array.zeroCreate<byte> 20
              answer[0] <- 0x21uy
              Buffers.Binary.BinaryPrimitives.WriteUInt16BigEndian(Span(answer, 2, 2), syn.ConnectionId)
              Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(Span(answer, 8, 4), 1000u)
              Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(Span(answer, 12, 4), 100_000u)
              Buffers.Binary.BinaryPrimitives.WriteUInt16BigEndian(Span(answer, 16, 2), 7us)
              Buffers.Binary.BinaryPrimitives.WriteUInt16BigEndian(Span(answer, 18, 2), syn.SeqNr.Value)
              let arrived = Event.Received(form, Datagrams.One(Borrowed answer, 900L<us>))
              let struct (_, effects) = run [ yield! after; arrived ] node
              Expect.exists effects _.IsOpened $"opened: %A{effects |> Array.map _.GetType().Name}"
      }
      test "what leads behind the prefix to an address that is not public may not be named" {
          let behind text = Nat64.embed wkp (Endpoint.withPort 5000us (ofText text))

          for text in
              [ "127.0.0.1"; "10.0.0.1"; "192.168.1.1"; "100.64.0.1"; "0.0.0.0"; "224.0.0.1"; "255.255.255.255" ] do
              Expect.isTrue (CandidateFilter.isBehindNat64 [| wkp |] (behind text)) text
              let other = prefix "2001:db8:64::" 64
              let address = Nat64.embed other (Endpoint.withPort 5000us (ofText text))
              Expect.isTrue (CandidateFilter.isBehindNat64 [| wkp; other |] address) $"{text}, behind the second prefix"
              Expect.isFalse (CandidateFilter.isBehindNat64 [||] address) "no prefix is known"
              let odd = { address with Low = address.Low ||| 1UL }
              Expect.isTrue (CandidateFilter.isBehindNat64 [| other |] odd) $"{text}, with bits behind it"

          Expect.isFalse (CandidateFilter.isBehindNat64 [| wkp |] (behind "198.51.100.1")) "a public one"
          Expect.isFalse (CandidateFilter.isBehindNat64 [| wkp |] server) "not behind it"
      } ]

let tests =
    testList "nat64" [ testList "forms" forms; testList "discovery" discovery; testList "in a node" node ]
