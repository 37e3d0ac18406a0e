/// The formats of port mapping: PCP, NAT-PMP, SSDP, URLs and SOAP.
module UtpPunch.Protocol.Tests.GatewayTests

open System
open System.Text
open Expecto
open FsCheck
open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.SimulatedRouter

let private hex (text: string) = Convert.FromHexString(text.Replace(" ", "").Replace("\n", ""))
let private read (text: string) = GatewayWire.read (Borrowed(hex text))
let private nonce = Owned(Array.init 12 (fun index -> byte (index + 1)))
let private address text = HttpAddress.read text |> ValueOption.map (fun it -> it.Remote)
let private origin = (HttpAddress.read location).Value

let private ssdp (lines: string list) = Borrowed(Encoding.ASCII.GetBytes(String.Join("\r\n", lines)))

let private igd = "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:2"

let tests =
    testList
        "gateway formats"
        [ test "a MAP of PCP has RFC 6887's 60 bytes" {
              let suggested = Endpoint.ofIPv4 0u 7777us

              Expect.equal
                  (GatewayWire.pcpMap nonce client suggested 3600u)
                  (Owned(
                      hex
                          "02 01 0000 00000e10 00000000000000000000ffffc0a80102
                           0102030405060708090a0b0c 11 000000 1e61 1e61 00000000000000000000ffff00000000"
                  ))
                  "version, opcode, lifetime, client; nonce, UDP, ports, address"
          }
          test "a mapping of NAT-PMP has RFC 6886's 12 bytes" {
              Expect.equal
                  (GatewayWire.natPmpMap 7777us 8888us 7200u)
                  (Owned(hex "00 01 0000 1e61 22b8 00001c20"))
                  "version, opcode, ports, lifetime"
          }
          test "answers are read" {
              let pcp =
                  "02 81 00 00 00000078 00000005 000000000000000000000000
                   0102030405060708090a0b0c 11 000000 1e61 22b8 00000000000000000000ffffc0000101"

              match read pcp with
              | ValueSome(GatewayAnswer.Pcp(0, 5u, 120u, its, 7777us, external)) ->
                  Expect.equal its nonce "the nonce"
                  Expect.equal external (Endpoint.withPort 8888us outside) "the external endpoint"
              | _ -> failtest "an answer of PCP"

              match read "00 80 0000 00000007 c0000101" with
              | ValueSome(GatewayAnswer.NatPmpAddress(0, 7u, it)) -> Expect.equal it outside "the external address"
              | _ -> failtest "an external address"

              match read "00 81 0003 00000007 1e61 0000 00000000" with
              | ValueSome(GatewayAnswer.NatPmpMapped(3, 7u, 7777us, 0us, 0u)) -> ()
              | _ -> failtest "a refusal of NAT-PMP"

              for other in [ "00 81 0001 00000007"; "02 81 00 01 00000000 00000005" ] do
                  match read other with
                  | ValueSome GatewayAnswer.OtherVersion -> ()
                  | _ -> failtest $"{other} is another version"
          }
          test "requests, other opcodes, TCP and short answers are none" {
              for other in
                  [ "00 00 0000 00000007 c0000101"
                    "00 82 0000 00000007 1e61 0000 00000000"
                    "02 80 00 00 00000078 00000005"
                    "02 81 00 00 00000078 00000005 000000000000000000000000"
                    "01 81 00 00 00000078 00000005"
                    "00 80 0000 00000007" ] do
                  Expect.isTrue (read other).IsNone other
          }
          testProperty "any bytes are an answer or none" (fun (bytes: byte[]) ->
              for first in [ 0uy; 2uy ] do
                  for second in [ 128uy; 129uy; 130uy ] do
                      let bytes = Array.append [| first; second |] bytes
                      GatewayWire.read (Borrowed bytes) |> ignore
                      Ssdp.location (Borrowed bytes) |> ignore

              true)
          test "no uTP packet looks like an answer of a gateway" {
              // BEP 29: the type in the upper four bits, version 1 in the lower ones.
              for kind in 0..15 do
                  let packet = Borrowed(Array.append [| byte (kind <<< 4 ||| 1) |] (Array.create 99 0xFFuy))
                  Expect.isFalse (GatewayWire.looksLike packet || Ssdp.looksLike packet) $"type {kind}"
          }
          test "the location of a gateway is found whatever the case and the order of the headers" {
              for lines in
                  [ [ "HTTP/1.1 200 OK"; igd; $"LOCATION: {location}"; "" ]
                    [ "HTTP/1.0 200 OK"; $"Location:{location}  "; "st:   upnp:rootdevice"; "" ] ] do
                  Expect.equal (Ssdp.location (ssdp lines)) (ValueSome location) "the location"
          }
          test "other devices, other statuses, notifications and long texts have no location" {
              for lines in
                  [ [ "HTTP/1.1 200 OK"; "ST: urn:schemas-upnp-org:device:MediaServer:1"; $"LOCATION: {location}" ]
                    [ "HTTP/1.1 404 Not Found"; igd; $"LOCATION: {location}" ]
                    [ "NOTIFY * HTTP/1.1"; igd; $"LOCATION: {location}" ]
                    [ "HTTP/1.1 200 OK"; igd; "LOCATION:" ]
                    [ "HTTP/1.1 200 OK"; igd; $"LOCATION: {location}"; String('x', Ssdp.MaxLength) ] ] do
                  Expect.isTrue (Ssdp.location (ssdp lines)).IsNone lines[0]
          }
          test "a URL must be http, and name an address" {
              Expect.equal (address location) (ValueSome(Endpoint.withPort 5000us router)) "an address and a port"
              Expect.equal (address "http://192.168.1.1/x") (ValueSome(Endpoint.withPort 80us router)) "port 80"

              Expect.equal
                  (address "http://[2001:db8::1]:5000/x")
                  (ValueSome(Endpoint.ofIPv6 0x20010DB8_00000000UL 1UL 5000us))
                  "IPv6"

              for other in
                  [ "https://192.168.1.1/"
                    "http://router.example/"
                    "http://user@192.168.1.1/"
                    "file:///etc/passwd"
                    "ftp://192.168.1.1/"
                    "/root.xml"
                    ""
                    "http://192.168.1.1/" + String('x', 600) ] do
                  Expect.isTrue (address other).IsNone other
          }
          test "a control URL may be relative, and must not name another host" {
              let resolved text = HttpAddress.resolve origin text |> ValueOption.map (fun it -> it.Url)
              Expect.equal (resolved "/ctl?x=1") (ValueSome "http://192.168.1.1:5000/ctl?x=1") "relative"
              Expect.equal (resolved "http://192.168.1.1:6000/c") (ValueSome "http://192.168.1.1:6000/c") "another port"

              for other in [ "http://192.168.1.9/ctl"; "//198.51.100.1/ctl"; "https://192.168.1.1/"; "javascript:1" ] do
                  Expect.isTrue (resolved other).IsNone other
          }
          testProperty "an address is read back from its text" (fun (high: uint64) (low: uint64) (mask: uint16) ->
              // Many zeroes, at any place.
              let cut shift value = if mask >>> shift &&& 1us = 0us then 0UL else value
              let parts = [ for shift in 0..3 -> cut shift 0xFFFFUL <<< (16 * shift) ] |> List.sum
              let it = Endpoint.ofIPv6 (high &&& parts) (low &&& (parts ^^^ uint64 mask)) 0us
              let it = if Endpoint.isIPv4 it then Endpoint.ofIPv6 1UL it.Low 0us else it
              let ipv4 = Endpoint.ofIPv4 (uint32 low) 0us
              let text = HttpAddress.toText it

              Expect.equal
                  text
                  (Net
                      .IPAddress(
                          Array.concat
                              [ Array.rev (BitConverter.GetBytes it.High); Array.rev (BitConverter.GetBytes it.Low) ]
                      )
                      .ToString())
                  "as RFC 5952 writes it"

              HttpAddress.ofText text = ValueSome it
              && HttpAddress.ofText (HttpAddress.toText ipv4) = ValueSome ipv4)
          testProperty "any text is a URL or none" (fun (text: string) ->
              let text = string text
              HttpAddress.read text |> ignore
              HttpAddress.read ("http://" + text) |> ignore
              HttpAddress.resolve origin text |> ignore
              HttpAddress.ofText text |> ignore
              true)
          test "subnets are compared by their prefix" {
              let at low = Endpoint.ofIPv4 low 1us
              let isSame length a b = HttpAddress.isSameSubnet length a b
              Expect.isTrue (isSame 24 (at 0xC0A80102u) (at 0xC0A801FEu)) "/24"
              Expect.isFalse (isSame 24 (at 0xC0A80102u) (at 0xC0A80201u)) "another /24"
              Expect.isTrue (isSame 16 (at 0xC0A80102u) (at 0xC0A80201u)) "/16"
              Expect.isFalse (isSame 32 (at 1u) (at 2u)) "/32"
              Expect.isTrue (isSame 0 (at 1u) (at 0xFFFFFFFFu)) "/0"
              Expect.isFalse (isSame 0 (at 1u) (Endpoint.ofIPv6 1UL 1UL 1us)) "the other family"
              Expect.isTrue (isSame 64 (Endpoint.ofIPv6 1UL 1UL 1us) (Endpoint.ofIPv6 1UL 2UL 1us)) "/64"
              Expect.isFalse (isSame 64 (Endpoint.ofIPv6 1UL 1UL 1us) (Endpoint.ofIPv6 2UL 1UL 1us)) "another /64"
          }
          test "WANIPConnection:2 is preferred to :1 and to WANPPPConnection" {
              let service kind url =
                  [| { Depth = 1; Name = "service"; Text = "" }
                     { Depth = 2; Name = "serviceType"; Text = "urn:schemas-upnp-org:service:" + kind }
                     { Depth = 2; Name = "controlURL"; Text = url } |]

              let all =
                  Array.concat
                      [ service "WANPPPConnection:1" "/ppp"
                        service "WANCommonInterfaceConfig:1" "/common"
                        service "WANIPConnection:1" "http://198.51.100.1/elsewhere"
                        service "WANIPConnection:1" "/ip1"
                        service "WANIPConnection:2" "/ip2"
                        service "WANIPv6FirewallControl:1" "/firewall" ]

              let urls isFirewall =
                  Igd.controls isFirewall origin all |> Array.map (fun it -> (Uri it.Address.Url).AbsolutePath)

              Expect.equal (urls false) [| "/ip2"; "/ip1"; "/ppp" |] "the services that map ports"
              Expect.equal (urls true) [| "/firewall" |] "the firewall"
          }
          test "a call is SOAP 1.1" {
              let control = (Igd.controls false origin (description 1))[0]
              let call = Igd.add control false client 8888us 3600L

              Expect.equal
                  (Igd.soapAction call)
                  "\"urn:schemas-upnp-org:service:WANIPConnection:1#AddPortMapping\""
                  "SOAPAction"

              Expect.equal
                  (Encoding.UTF8.GetString((Igd.envelope call).Span))
                  ("<?xml version=\"1.0\"?>\r\n<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\""
                   + " s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>"
                   + "<u:AddPortMapping xmlns:u=\"urn:schemas-upnp-org:service:WANIPConnection:1\"><NewRemoteHost></NewRemoteHost>"
                   + "<NewExternalPort>8888</NewExternalPort><NewProtocol>UDP</NewProtocol><NewInternalPort>7777</NewInternalPort>"
                   + "<NewInternalClient>192.168.1.2</NewInternalClient><NewEnabled>1</NewEnabled>"
                   + "<NewPortMappingDescription>uTP</NewPortMappingDescription><NewLeaseDuration>3600</NewLeaseDuration>"
                   + "</u:AddPortMapping></s:Body></s:Envelope>\r\n")
                  "the body"
          } ]
