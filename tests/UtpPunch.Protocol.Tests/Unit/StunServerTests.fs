/// What the STUN server answers, from which socket, and what it does not answer.
module UtpPunch.Protocol.Tests.StunServerTests

open Expecto
open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.StunNat

let private id = { First = 1u; Middle = 2u; Last = 3u }
let private client = Endpoint.ofIPv4 0xCB007107u 40_000us

let private message kind attributes =
    Stun.encode { Class = kind; Method = Stun.Binding; Id = id; Attributes = attributes }

let private request attributes = message StunClass.Request attributes
let private complete, _ = full
let private lone, _ = only primary

let private answered socket (datagram: Owned) server =
    match StunServer.answer socket client datagram.AsBorrowed server with
    | ValueSome answer ->
        let mutable message = Unchecked.defaultof<StunMessage>
        Expect.equal (Stun.decode answer.Datagram.AsBorrowed &message) StunMalformed.None "well formed"

        Expect.equal
            (answer.Remote, message.Id, message.Method)
            (client, id, Stun.Binding)
            "the destination, the id and the method"

        struct (answer.Socket, message)
    | ValueNone -> failtest "no answer"

let private expectRefusal kinds socket datagram server =
    let struct (from, message) = answered socket datagram server
    Expect.equal (from, message.Class) (socket, StunClass.Error) "an error from the socket that was asked"

    Expect.equal
        message.Attributes
        [| StunAttribute.ErrorCode(420, "Unknown Attribute")
           StunAttribute.UnknownAttributes kinds
           StunAttribute.Software "in-test" |]
        "420"

let tests =
    testList
        "stun server"
        [ test "a server with one socket answers with the source of the request and its name" {
              let struct (socket, message) = answered 0 (request [||]) lone
              Expect.equal (socket, message.Class) (0, StunClass.Success) "a success"

              Expect.equal
                  message.Attributes
                  [| StunAttribute.XorMappedAddress client; StunAttribute.Software "in-test" |]
                  "the attributes"
          }
          test "with four sockets it answers from the requested one, with RESPONSE-ORIGIN" {
              for asked in 0..3 do
                  for address in [ false; true ] do
                      for port in [ false; true ] do
                          let change = request [| StunAttribute.ChangeRequest(address, port) |]
                          let struct (socket, message) = answered asked change complete
                          let expected = asked ^^^ (if address then 2 else 0) ^^^ (if port then 1 else 0)
                          Expect.equal socket expected $"asked at {asked} to change {address}, {port}"

                          Expect.equal
                              message.Attributes
                              [| StunAttribute.XorMappedAddress client
                                 StunAttribute.ResponseOrigin sockets[expected]
                                 StunAttribute.OtherAddress sockets[asked ^^^ 3]
                                 StunAttribute.Software "in-test" |]
                              "RESPONSE-ORIGIN is the answering socket; OTHER-ADDRESS differs in address and port from the asked one"
          }
          test "CHANGE-REQUEST is an unknown attribute without the sockets for it" {
              expectRefusal [| 3us |] 0 (request [| StunAttribute.ChangeRequest(true, true) |]) lone

              let twoPorts = StunServer.create (ValueSome "in-test") (Array.map ValueSome sockets[0..1])
              expectRefusal [| 3us |] 1 (request [| StunAttribute.ChangeRequest(true, false) |]) twoPorts

              let struct (socket, message) =
                  answered 1 (request [| StunAttribute.ChangeRequest(false, true) |]) twoPorts

              Expect.equal (socket, message.Class) (0, StunClass.Success) "the port it can change"
              Expect.equal message.Attributes.Length 2 "but nothing of RFC 5780"
          }
          test "with four sockets it supports RESPONSE-PORT, and without them the attribute is unknown" {
              let datagram = request [| StunAttribute.ResponsePort 9us; StunAttribute.ChangeRequest(true, true) |]

              match StunServer.answer 0 client datagram.AsBorrowed complete with
              | ValueSome answer ->
                  Expect.equal (answer.Socket, answer.Remote) (3, { client with Port = 9us }) "socket and destination"
              | ValueNone -> failtest "no answer"

              expectRefusal [| 3us; 0x0027us |] 0 datagram lone
          }
          test
              "with four sockets it pads with as many bytes as it was sent, up to 1500; without them PADDING is unknown" {
              for length, expected in [ 0, 0; 3, 3; 1_500, 1_500; 65_000, 1_500 ] do
                  let struct (_, message) = answered 0 (request [| StunAttribute.Padding length |]) complete
                  Expect.equal message.Attributes[3] (StunAttribute.Padding expected) $"{length} bytes"

              expectRefusal [| 0x0026us |] 0 (request [| StunAttribute.Padding 4 |]) lone
          }
          test "padding to another port is a bad request (RFC 5780, 6.1)" {
              let datagram = request [| StunAttribute.Padding 4; StunAttribute.ResponsePort 9us |]
              let struct (socket, message) = answered 0 datagram complete
              Expect.equal (socket, message.Class) (0, StunClass.Error) "an error from the socket that was asked"
              Expect.equal message.Attributes[0] (StunAttribute.ErrorCode(400, "Bad Request")) "400"
          }
          test "unknown comprehension-required attributes are refused, all in one list, and others are ignored" {
              let strange =
                  [| StunAttribute.Other(0x0024us, Borrowed.Empty)
                     StunAttribute.Other(0x8026us, Borrowed.Empty)
                     StunAttribute.Other(0x7FFFus, Borrowed [| 1uy |]) |]

              expectRefusal [| 0x0024us; 0x7FFFus |] 2 (request strange) complete
              let struct (_, message) = answered 0 (request [| strange[1] |]) complete
              Expect.equal message.Class StunClass.Success "0x8000 and up may be ignored"
          }
          test "credentials that were not requested are ignored" {
              let datagram =
                  request [| StunAttribute.Other(0x0006us, Borrowed [| 65uy |]) |]
                  |> Stun.withIntegrity (Owned [| 1uy |])

              let struct (_, message) = answered 0 datagram lone
              Expect.equal message.Class StunClass.Success "a success"
          }
          test "a request with a FINGERPRINT is answered with one, and one without is not" {
              for datagram, expected in
                  [ request [||], false
                    Stun.withFingerprint (request [||]), true
                    Stun.withFingerprint (request [| StunAttribute.Other(1000us, Borrowed.Empty) |]), true ] do
                  match StunServer.answer 0 client datagram.AsBorrowed complete with
                  | ValueSome answer ->
                      Expect.equal (Stun.isFingerprinted answer.Datagram.AsBorrowed) expected "the end"
                  | ValueNone -> failtest "no answer"
          }
          test "responses, errors, indications, other methods and random bytes get no answer" {
              for datagram in
                  [ message StunClass.Success [| StunAttribute.XorMappedAddress client |]
                    message StunClass.Error [| StunAttribute.ErrorCode(500, "") |]
                    message StunClass.Indication [||]
                    Stun.encode { Class = StunClass.Request; Method = 3us; Id = id; Attributes = [||] }
                    Owned.Empty
                    Owned(Array.zeroCreate 100)
                    (request [||]).Slice(0, 19)
                    Stun.withFingerprint (Stun.withFingerprint (request [||])) ] do
                  Expect.isTrue
                      (StunServer.answer 0 client datagram.AsBorrowed complete).IsNone
                      $"{datagram.Length} bytes"
          }
          test "an answer of the server is not answered by any server" {
              for datagram in [ request [||]; request [| StunAttribute.Other(99us, Borrowed.Empty) |] ] do
                  match StunServer.answer 0 client datagram.AsBorrowed complete with
                  | ValueSome answer ->
                      Expect.isTrue (StunServer.answer 0 client answer.Datagram.AsBorrowed complete).IsNone "no loop"
                  | ValueNone -> failtest "no answer"
          }
          test "an answer without a name is longer than its request by three endpoints, and no more" {
              let nameless = StunServer.create ValueNone (Array.map ValueSome sockets)

              match StunServer.answer 0 client (request [||]).AsBorrowed nameless with
              | ValueSome answer ->
                  Expect.equal (answer.Datagram.Length - 20) (3 * 12) "an endpoint of IPv4 takes 12 bytes"
              | ValueNone -> failtest "no answer"
          }
          test "the longest request that is all unknown attributes gets an answer" {
              let many = Array.create 16_370 (StunAttribute.Other(0x7000us, Borrowed.Empty))
              let struct (_, message) = answered 0 (request many) complete
              Expect.equal message.Class StunClass.Error "an error"
          }
          test "a server without sockets, and one with five, throw" {
              for sockets in [ [||]; [| ValueNone |]; Array.create 5 (ValueSome primary) ] do
                  Expect.throwsT<System.ArgumentException>
                      (fun () -> StunServer.create ValueNone sockets |> ignore)
                      "the mistake"
          } ]
