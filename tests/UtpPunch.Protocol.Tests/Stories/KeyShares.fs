/// Streams whose nodes agree on the key of a link.
module UtpPunch.Protocol.Tests.KeyShares

open System
open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Protocol.Tests.Story

let private isShare (datagram: byte[]) =
    let mutable packet = Unchecked.defaultof<Packet>

    Packet.decode (Borrowed datagram) &packet = Malformed.None
    && ExtensionBits.kindOf packet.Bits = ExtensionBits.Kind.KeyShare

let private count (pair: TwoNodes) (condition: byte[] -> bool) =
    let counts = [| 0; 0 |]
    let before = pair.Filter

    pair.Filter <-
        Func<_, _, _>(fun side datagram ->
            if condition datagram then
                let index = if side.Name = "A" then 0 else 1
                counts[index] <- counts[index] + 1

            isNull before || before.Invoke(side, datagram))

    counts

let private path = { Path.perfect with Delay = Time.milliseconds 20 }

let private pairWith migrates =
    let streams = { StreamOptions.bep29 with Migrates = migrates }
    pairOf { NodeOptions.standard with Bep29 = streams } path

let private usual () = pairWith true

/// The share of another key pair in the place of the one that the datagram has.
let private exchanged (datagram: byte[]) =
    let other =
        Convert.FromHexString
            "6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C2964FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5"

    Array.append datagram[.. datagram.Length - 65] other

let tests =
    testList
        "key shares"
        [ test "after one second each node sends one share, and each probes the path" {
              let pair = usual ()
              let shares = count pair isShare
              let struct (a, b) = connected pair
              wait (Time.milliseconds 900) pair
              Expect.equal shares [| 0; 0 |] "within the first second"
              wait (Time.milliseconds 500) pair
              Expect.equal shares [| 1; 1 |] "shares"
              Expect.isGreaterThan pair.A.Datagrams 0 "probes of A"
              Expect.isGreaterThan pair.B.Datagrams 0 "probes of B"
              write pair pair.A a (content 5000)
              wait (Time.seconds 60) pair
              received b (content 5000) "what A has written"
              Expect.equal shares [| 1; 1 |] "shares"
          }

          test "a stream that lives for less than a second pays nothing" {
              let pair = usual ()
              let shares = count pair isShare
              let struct (a, b) = connected pair
              write pair pair.A a (content 100)
              finish pair pair.A a
              finish pair pair.B b
              wait (Time.seconds 100) pair
              Expect.equal shares [| 0; 0 |] "shares"
              Expect.equal a.Closed (ValueSome CloseReason.Finished) "the end"
          }

          test "a share and its answer are repeated when they are lost" {
              for side in 0..1 do
                  let pair = usual ()
                  dropFirst 2 (if side = 0 then pair.A else pair.B) isShare pair
                  connected pair |> ignore
                  wait (Time.seconds 20) pair
                  Expect.isGreaterThan pair.A.Datagrams 0 "A probes"
                  Expect.isGreaterThan pair.B.Datagrams 0 "B probes"
          }

          test "who does not answer is asked six times" {
              let pair = usual ()
              dropFirst 100 pair.B isShare pair
              let shares = count pair isShare
              connected pair |> ignore
              wait (Time.seconds 300) pair
              Expect.equal shares[0] 6 "shares"
          }

          test "where streams keep to their path there is no share" {
              let pair = pairWith false
              let shares = count pair isShare
              connected pair |> ignore
              wait (Time.seconds 100) pair
              Expect.equal shares [| 0; 0 |] "shares"
          }

          test "a second, other share ends the link, at either node, and the stream goes on" {
              for target in 0..1 do
                  let pair = usual ()
                  let mutable seen = None

                  pair.Filter <-
                      Func<_, _, _>(fun side datagram ->
                          if isShare datagram && (side.Name = "A") = (target = 1) then
                              seen <- Some(exchanged datagram)

                          true)

                  let struct (a, b) = connected pair
                  wait (Time.milliseconds 1_200) pair
                  let victim, source = if target = 0 then pair.A, pair.B else pair.B, pair.A
                  pair.Inject(victim, source.Endpoint, seen.Value)
                  wait (Time.milliseconds 100) pair
                  Expect.equal (victim.Count Rule.ProbeRejected) 1 "a share that is rejected"
                  let probes = victim.Datagrams
                  wait (Time.seconds 100) pair
                  Expect.equal victim.Datagrams probes "probes of the node with two shares"
                  write pair pair.A a (content 5000)
                  write pair pair.B b (content 5000)
                  wait (Time.seconds 5) pair
                  received b (content 5000) "what A has written"
                  received a (content 5000) "what B has written"
          }

          test "a share that is no point of the curve is ignored" {
              let pair = usual ()

              let broken (datagram: byte[]) =
                  Array.append datagram[.. datagram.Length - 2] [| datagram[datagram.Length - 1] + 1uy |]

              let mutable seen = None
              dropFirst 1 pair.A isShare pair
              let before = pair.Filter

              pair.Filter <-
                  Func<_, _, _>(fun side datagram ->
                      if isShare datagram && side.Name = "A" then seen <- Some(broken datagram)
                      before.Invoke(side, datagram))

              connected pair |> ignore
              wait (Time.milliseconds 1_200) pair
              pair.Inject(pair.B, pair.A.Endpoint, seen.Value)
              wait (Time.milliseconds 100) pair
              Expect.equal (pair.B.Count Rule.PathProbeIgnored) 1 "a share that is ignored"
              wait (Time.seconds 20) pair
              Expect.isGreaterThan pair.B.Datagrams 0 "B probes: the true share was repeated"
          } ]
