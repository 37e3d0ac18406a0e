/// The format of STUN: the vectors of RFC 5769, what is encoded and decoded, and malformed messages.
module UtpPunch.Protocol.Tests.StunTests

open System
open System.Security.Cryptography
open System.Text
open Expecto
open FsCheck
open FsCheck.FSharp
open UtpPunch.Protocol

let private hex (text: string) = Owned(Convert.FromHexString(text.Replace(" ", "").Replace("\n", "")))
let private ascii (text: string) = Owned(Encoding.UTF8.GetBytes text)

/// RFC 5769, 2.1: a request with SOFTWARE, ICE's PRIORITY and ICE-CONTROLLED, USERNAME, MESSAGE-INTEGRITY and FINGERPRINT.
let private sampleRequest =
    hex
        "00010058 2112a442 b7e7a701bc34d686fa87dfae
         80220010 5354554e207465737420636c69656e74
         00240004 6e0001ff 80290008 932ff9b151263b36
         00060009 6576746a3a68367659202020
         00080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2
         80280004 e57a3bcf"

/// RFC 5769, 2.2 and 2.3.
let private ipv4Response =
    hex
        "0101003c 2112a442 b7e7a701bc34d686fa87dfae
         8022000b 7465737420766563746f7220
         00200008 0001a147e112a643
         00080014 2b91f599fd9e90c38c7489f92af9ba53f06be7d7
         80280004 c07d4c96"

let private ipv6Response =
    hex
        "01010048 2112a442 b7e7a701bc34d686fa87dfae
         8022000b 7465737420766563746f7220
         00200014 0002a1470113a9faa5d3f179bc25f4b5bed2b9d9
         00080014 a382954e4be67bf11784c97c8292c275bfe3ed41
         80280004 c8fb0b4c"

/// RFC 5769, 2.4: with long-term credentials, and without a FINGERPRINT.
let private longTermRequest =
    hex
        "00010060 2112a442 78ad3433c6ad72c029da412e
         00060012 e3839ee38388e383aae38383e382afe382b90000
         0015001c 662f2f3439396b39353464364f4c33346f4c39465354767936347341
         0014000b 6578616d706c652e6f726700
         00080014 f67024656dd64a3e02b8e0712e85c9a28ca89666"

let private password = ascii "VOkJxbRl1RmTxUk/WvJxBt"

/// RFC 8489, 9.2.2: the MD5 of user name, realm and password.
let private longTermKey = Owned(MD5.HashData(Encoding.UTF8.GetBytes "マトリックス:example.org:TheMatrIX"))

let private sampleId = { First = 0xb7e7a701u; Middle = 0xbc34d686u; Last = 0xfa87dfaeu }

let private decode (datagram: Owned) =
    let mutable message = Unchecked.defaultof<StunMessage>
    let malformed = Stun.decode datagram.AsBorrowed &message
    struct (malformed, message)

let private decoded datagram =
    let struct (malformed, message) = decode datagram
    Expect.equal malformed StunMalformed.None "well formed"
    message

let private malformedAs expected datagram claim =
    let struct (malformed, _) = decode datagram
    Expect.equal malformed expected claim

let private changed place value (bytes: Owned) =
    let copy = bytes.Span.ToArray()
    copy[place] <- value
    Owned copy

let private request attributes =
    { Class = StunClass.Request; Method = Stun.Binding; Id = sampleId; Attributes = attributes }

// ---- Random messages

let private endpoints =
    gen {
        let! high = ArbMap.defaults.ArbFor<uint64>().Generator
        let! low = ArbMap.defaults.ArbFor<uint64>().Generator
        let! port = ArbMap.defaults.ArbFor<uint16>().Generator
        let wide = Endpoint.ofIPv6 high low port
        return! Gen.elements [ wide; Endpoint.ofIPv4 (uint32 low) port ]
    }

let private texts =
    Gen.choose (0, 30) |> Gen.bind (fun n -> Gen.elements [ String('x', n); String('é', n); "" ])

let private bytesOf length = Gen.arrayOfLength length (Gen.map byte (Gen.choose (0, 255)))

let private attributes =
    Gen.oneof
        [ Gen.map StunAttribute.MappedAddress endpoints
          Gen.map StunAttribute.XorMappedAddress endpoints
          Gen.map StunAttribute.ResponseOrigin endpoints
          Gen.map StunAttribute.OtherAddress endpoints
          Gen.map StunAttribute.Padding (Gen.choose (0, 100))
          Gen.map (uint16 >> StunAttribute.ResponsePort) (Gen.choose (0, 65535))
          Gen.map2 (fun code reason -> StunAttribute.ErrorCode(code, reason)) (Gen.choose (300, 699)) texts
          Gen.map
              (fun kinds -> StunAttribute.UnknownAttributes(Array.map uint16 kinds))
              (Gen.arrayOf (Gen.choose (0, 65535)))
          Gen.map StunAttribute.Software texts
          Gen.map2
              (fun address port -> StunAttribute.ChangeRequest(address, port))
              (Gen.elements [ true; false ])
              (Gen.elements [ true; false ])
          Gen.map2
              (fun kind value -> StunAttribute.Other(kind, Borrowed value))
              (Gen.elements [ 0x0024us; 0x7FFFus; 0x8029us; 0xFFFFus ])
              (Gen.bind bytesOf (Gen.choose (0, 9))) ]

let private messages =
    gen {
        let! kind = Gen.choose (0, 3)
        let! method' = Gen.choose (0, 0xFFF)
        let! words = Gen.arrayOfLength 3 (ArbMap.defaults.ArbFor<uint32>().Generator)
        let! attributes = Gen.arrayOf attributes

        return
            { Class = LanguagePrimitives.EnumOfValue(byte kind)
              Method = uint16 method'
              Id = { First = words[0]; Middle = words[1]; Last = words[2] }
              Attributes = Array.truncate 12 attributes }
    }

let private property name check = testPropertyWithConfig { FsCheckConfig.defaultConfig with maxTest = 500 } name check

let private expectSame (expected: StunMessage) (actual: StunMessage) =
    Expect.equal (actual.Class, actual.Method, actual.Id) (expected.Class, expected.Method, expected.Id) "type and id"

    Expect.equal actual.Attributes expected.Attributes "attributes"

let tests =
    testList
        "stun"
        [ test "RFC 5769, 2.1: the sample request decodes, with valid integrity and fingerprint" {
              let message = decoded sampleRequest
              Expect.equal (message.Class, message.Method, message.Id) (StunClass.Request, 1us, sampleId) "a request"
              Expect.equal message.Attributes[0] (StunAttribute.Software "STUN test client") "SOFTWARE"
              Expect.equal message.Attributes.Length 4 "the attributes that are protected"
              Expect.equal (Stun.unknownRequired message) [| 0x0024us |] "PRIORITY is ICE's, USERNAME is not"

              Expect.equal
                  (Stun.checkIntegrity password sampleRequest.AsBorrowed)
                  StunIntegrity.Proven
                  "MESSAGE-INTEGRITY"

              Expect.isTrue (Stun.isFingerprinted sampleRequest.AsBorrowed) "FINGERPRINT"
          }
          test "RFC 5769, 2.2: the IPv4 response has 192.0.2.1:32853" {
              let message = decoded ipv4Response
              Expect.equal message.Class StunClass.Success "a success"
              Expect.equal (Stun.mapped message) (ValueSome(Endpoint.ofIPv4 0xC0000201u 32853us)) "the endpoint"

              Expect.equal
                  (Stun.checkIntegrity password ipv4Response.AsBorrowed)
                  StunIntegrity.Proven
                  "MESSAGE-INTEGRITY"
          }
          test "RFC 5769, 2.3: the IPv6 response has 2001:db8:1234:5678:11:2233:4455:6677, port 32853" {
              let endpoint = Endpoint.ofIPv6 0x20010db812345678UL 0x0011223344556677UL 32853us

              Expect.equal (Stun.mapped (decoded ipv6Response)) (ValueSome endpoint) "the endpoint"

              Expect.equal
                  (Stun.checkIntegrity password ipv6Response.AsBorrowed)
                  StunIntegrity.Proven
                  "MESSAGE-INTEGRITY"
          }
          test "RFC 5769, 2.4: the request with long-term credentials is authenticated by their key" {
              let message = decoded longTermRequest
              Expect.isEmpty (Stun.unknownRequired message) "credentials are known attributes"

              Expect.equal
                  (Stun.checkIntegrity longTermKey longTermRequest.AsBorrowed)
                  StunIntegrity.Proven
                  "MESSAGE-INTEGRITY"

              Expect.isFalse (Stun.isFingerprinted longTermRequest.AsBorrowed) "no FINGERPRINT"
          }
          test "the vectors' responses are what the encoder gives, byte for byte, except for their padding" {
              // They pad with spaces, we with zeros, and integrity and fingerprint cover the padding: so without SOFTWARE.
              let ours = Stun.encode { decoded ipv4Response with Attributes = (decoded ipv4Response).Attributes[1..] }
              Expect.equal (ours.Skip 20) (ipv4Response.Slice(36, 12)) "XOR-MAPPED-ADDRESS"

              let ours = Stun.encode { decoded ipv6Response with Attributes = (decoded ipv6Response).Attributes[1..] }
              Expect.equal (ours.Skip 20) (ipv6Response.Slice(36, 24)) "XOR-MAPPED-ADDRESS of IPv6"

              let ours = Stun.withIntegrity longTermKey (Stun.encode (decoded longTermRequest))
              Expect.equal ours longTermRequest "the request with long-term credentials, whole"
          }
          property "what is encoded decodes to itself, and looks like STUN" (fun () ->
              Prop.forAll (Arb.fromGen messages) (fun message ->
                  let bytes = Stun.encode message
                  Expect.isTrue (Stun.looksLike bytes.AsBorrowed) "looks like STUN"
                  Expect.equal (Stun.idOf bytes.AsBorrowed) message.Id "the id"
                  expectSame message (decoded bytes)))

          property "a protected message decodes to the same, and is valid with its key and no other" (fun () ->
              Prop.forAll (Arb.fromGen messages) (fun message ->
                  let key, other = ascii "a key", ascii "another"

                  let bytes =
                      Stun.encode message
                      |> Stun.withIntegrity key
                      |> Stun.withIntegritySha256 key
                      |> Stun.withFingerprint

                  expectSame message (decoded bytes)
                  Expect.equal (Stun.checkIntegrity key bytes.AsBorrowed) StunIntegrity.Proven "SHA-1"
                  Expect.equal (Stun.checkIntegritySha256 key bytes.AsBorrowed) StunIntegrity.Proven "SHA-256"

                  Expect.equal
                      (Stun.checkIntegrity other bytes.AsBorrowed)
                      StunIntegrity.Forged
                      "SHA-1 with another key"

                  Expect.equal
                      (Stun.checkIntegritySha256 other bytes.AsBorrowed)
                      StunIntegrity.Forged
                      "SHA-256 with another key"))

          test "MESSAGE-INTEGRITY-SHA256 is the HMAC of what stands before it, with the length that includes it" {
              let key = ascii "a key"
              let bare = Stun.encode (request [| StunAttribute.ChangeRequest(true, false) |])
              let text = (changed 3 (byte (8 + 36)) bare).Span.ToArray()
              let wanted = HMACSHA256.HashData(key.Span.ToArray(), text)
              let message = Stun.withIntegritySha256 key bare
              Expect.equal (message.Skip(bare.Length + 4)) (Owned wanted) "the HMAC"
          }
          test "a MESSAGE-INTEGRITY-SHA256 may be cut to 16 bytes and not below" {
              let key = ascii "a key"

              for length in [ 4; 12; 16; 28 ] do
                  let bare = (Stun.encode (request [||])).Span.ToArray()
                  bare[3] <- byte (4 + length)
                  let hmac = HMACSHA256.HashData(key.Span.ToArray(), bare)[.. length - 1]
                  let message = Owned(Array.concat [ bare; [| 0uy; 0x1Cuy; 0uy; byte length |]; hmac ])
                  let expected = if length < 16 then StunIntegrity.Forged else StunIntegrity.Proven
                  Expect.equal (Stun.checkIntegritySha256 key message.AsBorrowed) expected $"{length} bytes"
          }
          test "a missing integrity attribute is distinguished from a wrong one" {
              let bare = Stun.encode (request [||])
              Expect.equal (Stun.checkIntegrity password bare.AsBorrowed) StunIntegrity.Absent "nothing"

              Expect.equal
                  (Stun.checkIntegrity password ((hex "01020304").AsBorrowed))
                  StunIntegrity.Absent
                  "no STUN at all"

              let touched = changed 25 0x21uy sampleRequest

              Expect.equal
                  (Stun.checkIntegrity password touched.AsBorrowed)
                  StunIntegrity.Forged
                  "a byte of SOFTWARE changed"
          }
          test "each changed byte of a message with a FINGERPRINT is detected" {
              // Except for the two bytes of its type: with another type there is no FINGERPRINT to check.
              for place in
                  Seq.except [ sampleRequest.Length - 8; sampleRequest.Length - 7 ] [ 0 .. sampleRequest.Length - 1 ] do
                  let touched = changed place (sampleRequest.Span[place] ^^^ 0x08uy) sampleRequest
                  let struct (malformed, _) = decode touched
                  Expect.notEqual malformed StunMalformed.None $"byte {place}"
          }
          test "a FINGERPRINT must come last" {
              let message = Stun.withFingerprint (Stun.encode (request [||])) |> Stun.withFingerprint
              malformedAs StunMalformed.Fingerprint message "two of them"
          }
          test "attributes after a MESSAGE-INTEGRITY are ignored" {
              let proven = Stun.withIntegrity password (Stun.encode (request [||]))
              let bytes = Array.append (proven.Span.ToArray()) [| 0x80uy; 0x22uy; 0uy; 1uy; 65uy; 0uy; 0uy; 0uy |]
              bytes[3] <- bytes[3] + 8uy
              Expect.isEmpty (decoded (Owned bytes)).Attributes "the name behind it"
          }
          test "a message cut anywhere is foreign, and so is one with a wrong cookie, length or first bits" {
              for length in 0 .. ipv4Response.Length - 1 do
                  malformedAs StunMalformed.Foreign (ipv4Response.Slice(0, length)) $"{length} bytes"

              malformedAs StunMalformed.Foreign (changed 4 0x20uy ipv4Response) "the cookie"
              malformedAs StunMalformed.Foreign (changed 3 0x38uy ipv4Response) "the length"
              malformedAs StunMalformed.Foreign (changed 0 0x41uy ipv4Response) "the first bits"
          }
          test "attributes that run over the end, and contents that are not of their kind, are distinguished" {
              let withAttribute kind (value: byte[]) =
                  Stun.encode (request [| StunAttribute.Other(kind, Borrowed value) |])

              malformedAs
                  StunMalformed.Attribute
                  (changed 23 9uy (withAttribute 0x8022us [| 1uy; 2uy; 3uy; 4uy |]))
                  "length"

              for kind, value in
                  [ 0x0001us, [| 0uy; 3uy; 0uy; 1uy; 1uy; 2uy; 3uy; 4uy |] // no such family
                    0x0001us, [| 0uy; 2uy; 0uy; 1uy; 1uy; 2uy; 3uy; 4uy |] // too short for IPv6
                    0x0020us, [||]
                    0x0003us, [| 0uy; 0uy |]
                    0x0009us, [| 0uy; 0uy; 2uy; 0uy |] // 200 is no error
                    0x0009us, [| 0uy; 0uy; 4uy; 100uy |]
                    0x000Aus, [| 0uy |]
                    0x0027us, [| 1uy |]
                    0x802Cus, [| 1uy |]
                    0x8022us, Array.zeroCreate 764 ] do
                  malformedAs StunMalformed.Value (withAttribute kind value) $"kind {kind} with {value.Length} bytes"
          }
          test "uTP packets and datagrams that begin with a letter do not look like STUN" {
              for first in [ 0x01uy; 0x11uy; 0x21uy; 0x31uy; 0x41uy; byte 'U' ] do
                  for length in [ 20; 24; 1400 ] do
                      let datagram = Array.create length 7uy
                      datagram[0] <- first
                      Expect.isFalse (Stun.looksLike (Borrowed datagram)) $"first byte {first}, {length} bytes"

              // Even if everything else is valid.
              Expect.isFalse (Stun.looksLike (changed 0 (byte 'U') ipv4Response).AsBorrowed) "a letter first"
          }
          property "any bytes decode to a message or to a reason" (fun (datagram: byte[]) ->
              let struct (malformed, message) = decode (Owned datagram)
              Expect.equal (malformed = StunMalformed.None) (not (isNull (box message))) "one of both")

          property "any bytes behind a header decode to a message or to a reason" (fun (body: byte[]) ->
              let body = Array.truncate (body.Length &&& ~~~3) body
              let datagram = Array.append (ipv4Response.Span.Slice(0, 20).ToArray()) body
              datagram[2] <- byte (body.Length >>> 8)
              datagram[3] <- byte body.Length
              let struct (malformed, message) = decode (Owned datagram)
              Expect.notEqual malformed StunMalformed.Foreign "looks like STUN"
              Expect.equal (malformed = StunMalformed.None) (not (isNull (box message))) "one of both"
              Stun.checkIntegrity password (Borrowed datagram) |> ignore
              Stun.checkIntegritySha256 password (Borrowed datagram) |> ignore)

          property "a mutated message decodes to a message or to a reason" (fun () ->
              let mutations = Gen.zip3 messages (Gen.choose (0, 2000)) (Gen.choose (0, 255))

              Prop.forAll (Arb.fromGen mutations) (fun (message, place, value) ->
                  let bytes = Stun.encode message
                  let touched = changed (place % bytes.Length) (byte value) bytes
                  let struct (malformed, message) = decode touched
                  Expect.equal (malformed = StunMalformed.None) (not (isNull (box message))) "one of both")) ]
