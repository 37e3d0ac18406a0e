/// Ports that routers have mapped, as candidates of a punch.
module UtpPunch.Protocol.Tests.MappedCandidateTests

open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim

let private at (address: uint32) port = Endpoint.ofIPv4 address port
let private observed = at 0xC0000301u 40_000us // 192.0.3.1
let private mapped = Endpoint.withPort 7777us observed
let private host = at 0xC0A80102u 7777us
let private peerObserved = at 0xC0000401u 50_000us

let private plan hosts = PunchScenario.planOf [||] Owned.Empty hosts

let private offer mapping hosts : Offer =
    { Nonce = Owned(Array.zeroCreate 16)
      Birthday = false
      Mapping = mapping
      Observed = observed
      Last = observed
      Hosts = hosts }

/// What a peer that is observed at `peerObserved` probes of this node's offer.
let private candidates mapping hosts =
    [ for struct (endpoint, kind) in Offer.candidates (plan [||]) peerObserved observed (offer mapping hosts) ->
          endpoint, kind ]

let private setup hosts : PunchSetup =
    { TaskId = 1
      Group = 1
      Peer = Owned.Empty
      Plan = plan hosts
      Start = PunchStart.Introduced
      Handle = 1UL
      Introduction = Owned.Empty
      Key = Owned(Array.zeroCreate 32)
      Session = 1UL
      IsLower = true
      Observed = observed
      Mapping = PortPrediction.Unknown
      PeerObserved = peerObserved
      PeerOffer = { offer PortPrediction.Unknown [||] with Observed = peerObserved; Last = peerObserved }
      Random = 1u }

let private firstProbe hosts = (Punch.create (setup hosts) 0L<us>).Candidates[0].NextAt

let tests =
    testList
        "mapped candidates"
        [ test "a host at the observed address with another port is a mapping, and precedes the observed endpoint" {
              Expect.equal
                  (candidates PortPrediction.Unknown [| mapped; host |])
                  [ mapped, PathKind.Mapped; observed, PathKind.Observed ]
                  "the private host is of another network"
          }
          test "of several ports at the observed address one is a mapping, and the others are hosts" {
              let second = Endpoint.withPort 8888us observed

              Expect.equal
                  (candidates PortPrediction.Unknown [| mapped; second |])
                  [ mapped, PathKind.Mapped; observed, PathKind.Observed; second, PathKind.Host ]
                  "the first one"
          }
          test "predicted ports precede it: both peers count them alike" {
              match candidates (PortPrediction.Dependent 1) [| mapped |] with
              | first :: rest ->
                  Expect.equal (snd first) PathKind.Predicted "first"
                  Expect.equal (List.map snd rest |> List.skip 7) [ PathKind.Mapped; PathKind.Observed ] "then"
              | [] -> failtest "candidates"
          }
          test "a mapping of the observed port is the observed endpoint" {
              Expect.equal (candidates PortPrediction.Unknown [| observed |]) [ observed, PathKind.Observed ] "once"
          }
          test "a mapping at another address is a host, and tried only where its address may be named" {
              let shared = at 0x64400001u 7777us // 100.64.0.1: the NAT of a provider follows
              let elsewhere = at 0xC0000501u 7777us

              Expect.equal
                  (candidates PortPrediction.Unknown [| shared |])
                  [ observed, PathKind.Observed ]
                  "of another outside"

              Expect.equal
                  (candidates PortPrediction.Unknown [| elsewhere |])
                  [ observed, PathKind.Observed; elsewhere, PathKind.Host ]
                  "a host"

              let same =
                  Offer.candidates
                      (plan [||])
                      (Endpoint.withPort 1us observed)
                      observed
                      (offer PortPrediction.Unknown [| shared |])

              Expect.isTrue
                  (same |> Array.exists (fun (struct (it, kind)) -> it.Equals shared && kind = PathKind.Host))
                  "of the same outside"
          }
          test "a port below 1024 is not tried" {
              Expect.equal
                  (candidates PortPrediction.Unknown [| Endpoint.withPort 53us observed |])
                  [ observed, PathKind.Observed ]
                  "a service of the router"
          }
          test "a node with a mapping waits for the peer's packets before it sends to the peer's NAT" {
              Expect.equal (firstProbe [| host |]) 0L<us> "without a mapping"
              Expect.equal (firstProbe [| mapped; host |]) (Time.milliseconds 2_400) "400 ms of priming, and 2 s"

              let going = Punch.go (Time.milliseconds 100) (Punch.create (setup [| mapped |]) 0L<us>)
              Expect.equal going.Candidates[0].NextAt (Time.milliseconds 2_100) "2 s after both have begun"
          } ]
