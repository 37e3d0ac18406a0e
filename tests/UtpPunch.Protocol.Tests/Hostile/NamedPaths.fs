/// What a peer reaches that names addresses of others when it has a stream: nothing at those that none may name, and others seldom.
module UtpPunch.Protocol.Tests.NamedPaths

open System
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim

let private own = Endpoint.ofIPv4 0xCB007109u 9000us
let private ownHost = Endpoint.ofIPv4 0xC0A80105u 9000us
let private peer = Endpoint.ofIPv4 0xCB007163u 4000us
let private roundTrip = Time.milliseconds 40

let private setup: PunchSetup =
    { TaskId = 1
      Group = 1
      Peer = Owned.Empty
      Plan = PunchScenario.planOf [||] (Owned(Array.create 32 1uy)) [| ownHost |]
      Start = PunchStart.Introduced
      Handle = 0UL
      Introduction = Owned.Empty
      Key = Owned(Array.create 32 7uy)
      Session = 1UL
      IsLower = true
      Observed = own
      Mapping = PortPrediction.EndpointIndependent
      PeerObserved = peer
      PeerOffer =
        { Nonce = Owned.Empty
          Birthday = false
          Mapping = PortPrediction.EndpointIndependent
          Observed = peer
          Last = peer
          Hosts = [||] }
      Random = 0u }

let private key = Secrets.link setup.Key

/// A link whose stream is busy, and a peer that answers all probes but those to others, and names what it likes.
type private Play() =
    let mutable now = 0L<us>
    let mutable number = 0u
    let mutable link = Link.ofPunch 0L<us> setup peer peer (ValueSome own) |> Link.enter 2
    let sent = ResizeArray<struct (Endpoint * int)>()

    let context () =
        { Now = now
          Effects = ResizeArray()
          Budget = 0L
          Held = 0L
          HasShare = false
          Shares = [||]
          Nat64 = [||] }

    let next () =
        number <- number + 1u
        number

    let rec take (effects: ResizeArray<Effect>) =
        for effect in effects do
            match effect with
            | Effect.SendDatagram(remote, datagram, _) ->
                sent.Add(struct (remote, datagram.Length))

                match ProbeWire.decode datagram.AsBorrowed with
                | ValueSome probe when remote.Equals peer && probe.Kind <> ProbeKind.Answer ->
                    let answer =
                        { probe with
                            Kind = ProbeKind.Answer
                            FromLower = false
                            Number = next ()
                            Echo = probe.Number
                            Observed = own }

                    now <- now + roundTrip
                    let context = context ()
                    let datagram = (ProbeWire.encode key answer).AsBorrowed
                    link <- Link.receive context peer answer datagram link
                    take context.Effects
                | _ -> ()
            | _ -> ()

    member _.Sent = sent
    member _.Now = now

    /// The peer names addresses; how many bytes that takes.
    member _.Name(hosts: Endpoint[]) =
        let context = context ()
        let packet = ProbeWire.encodeAddresses key link.Session false (next ()) hosts

        match ProbeWire.decodeAddresses packet.AsBorrowed with
        | ValueSome addresses -> link <- Link.receiveAddresses context peer addresses link
        | ValueNone -> failtest "no addresses"

        take context.Effects
        packet.Length

    /// Lets the time pass; the link's stream is always busy.
    member _.Until(limit: Instant) =
        while link.DueAt <= limit do
            now <- max now link.DueAt
            let context = context ()
            link <- Link.tick context link

            if link.Outcome.IsSome then
                match link.Outcome.Value with
                | LinkOutcome.Explore -> link <- BetterPath.start context { link with Outcome = ValueNone }
                | outcome -> failtest $"%A{outcome}"

            take context.Effects

        now <- max now limit

let private ipv4 address = Endpoint.ofIPv4 address 5000us
let private victims = Array.init 8 (fun index -> Endpoint.ofIPv4 (0xC6336407u + uint32 index) 5000us)

let private to' (hosts: Endpoint seq) (play: Play) =
    [ for struct (remote, length) in play.Sent do
          if Seq.exists remote.Equals hosts then length ]

let tests =
    testList
        "addresses that a peer names for its streams"
        [ test "addresses that no peer may name draw nothing" {
              let never =
                  [| ipv4 0u
                     ipv4 0x7F000001u
                     ipv4 0xE0000001u
                     ipv4 0xFFFFFFFFu
                     ipv4 0xC0A801FFu
                     ownHost
                     Endpoint.ofIPv6 0UL 1UL 5000us
                     Endpoint.ofIPv4 0xC6336407u 53us |]

              let play = Play()
              play.Name never |> ignore
              play.Until(Time.seconds 70)
              Expect.isEmpty (to' never play) "probes"
          }
          test "others are probed, twice each" {
              let play = Play()
              play.Until(Time.milliseconds 500)
              play.Name victims |> ignore
              play.Until(Time.seconds 20)
              Expect.hasLength (to' victims play) 16 "probes"
          }
          test "a peer that names others all the time draws a tenth of what it sends, and nothing but probes" {
              let play = Play()
              let mutable named = 0

              while play.Now < Time.seconds 120 do
                  named <- named + play.Name victims
                  play.Until(play.Now + Time.milliseconds 100)

              let drawn = to' victims play
              Expect.isNonEmpty drawn "probes"
              Expect.isLessThan (10 * List.sum drawn) named "bytes"
              Expect.all drawn (fun length -> length = ProbeWire.ProbeLength) "probes only"
          }
          test "addresses that are not authentic, or came before, change nothing" {
              let play = Play()
              play.Until(Time.milliseconds 500)
              let forged = ProbeWire.encodeAddresses (Owned(Array.create 32 9uy)) 0UL false 1u victims

              match ProbeWire.decodeAddresses forged.AsBorrowed with
              | ValueSome addresses ->
                  Expect.isTrue (ProbeWire.openAddresses key addresses).IsNone "another key"
                  let own = ProbeWire.encodeAddresses key 0UL false 1u victims

                  match ProbeWire.decodeAddresses own.AsBorrowed with
                  | ValueSome own ->
                      Expect.isTrue (ProbeWire.openAddresses key own).IsSome "its key"
                      Expect.isTrue (ProbeWire.openAddresses key { own with Number = 2u }).IsNone "another number"
                      Expect.isTrue (ProbeWire.openAddresses key { own with FromLower = true }).IsNone "the other side"
                  | ValueNone -> failtest "no addresses"
              | ValueNone -> failtest "no addresses"

              for length in 0..40 do
                  let cut = Array.append "UPN1"B (Array.create length 0x46uy)

                  match ProbeWire.decodeAddresses (Borrowed cut) with
                  | ValueSome addresses -> Expect.isTrue (ProbeWire.openAddresses key addresses).IsNone "too short"
                  | ValueNone -> ()
          } ]
