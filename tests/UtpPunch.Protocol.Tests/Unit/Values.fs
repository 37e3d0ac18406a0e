/// Unit tests of the basic values and collections, each compared with a reference model or a published vector.
module UtpPunch.Protocol.Tests.Values

open System
open System.Collections.Generic
open Expecto
open FsCheck
open FsCheck.FSharp
open UtpPunch.Protocol

let private property name check = testPropertyWithConfig { FsCheckConfig.defaultConfig with maxTest = 300 } name check

let private serials =
    [ property "a + (b - a) is b: the distance is total and exact" (fun (a: uint16) (b: uint16) ->
          let origin, target = SeqNr a, SeqNr b
          Expect.equal (origin + (target - origin)) target "the target")

      property "the distance is the shorter of the two" (fun (a: uint16) (b: uint16) ->
          let distance = SeqNr b - SeqNr a
          let forward = (int b - int a + 65536) % 65536
          Expect.equal distance (if forward >= 32768 then forward - 65536 else forward) "the signed distance")

      property "adding wraps at sixteen bits, for any count" (fun (a: uint16) (count: int) ->
          let expected = ((int64 a + int64 count) % 65536L + 65536L) % 65536L
          Expect.equal (int64 (SeqNr a + count).Value) expected "the number")

      test "the number before 0 is 65535, and the farthest is 32768 back" {
          Expect.equal (SeqNr 0us + -1).Value 65535us "before zero"
          Expect.equal (SeqNr 0us - SeqNr 65535us) 1 "from 65535 to 0"
          Expect.equal (SeqNr 32768us - SeqNr 0us) -32768 "half the circle"
      } ]

/// Keys that share low bits, so that the trie grows deep, and negative ones.
let private keys =
    Gen.oneof
        [ Gen.choose (-3, 40)
          Gen.map (fun key -> key <<< 5) (Gen.choose (-20, 20))
          Gen.map (fun key -> key <<< 27) (Gen.choose (-16, 16))
          Gen.elements [ Int32.MinValue; Int32.MaxValue; -1; 0 ] ]

let private operations =
    Gen.listOf (Gen.zip (Gen.frequency [ 2, Gen.constant true; 1, Gen.constant false ]) keys)

let private structures =
    [ property "a Radix holds what a Map holds, after any additions and removals" (fun () ->
          Prop.forAll (Arb.fromGen (Gen.resize 200 operations)) (fun operations ->
              let mutable radix = Radix.empty<int>
              let mutable twin = Map.empty<int, int>
              let mutable step = 0

              for adds, key in operations do
                  let before, beforeCount = radix, Map.count twin
                  step <- step + 1

                  if adds then
                      radix <- Radix.add key step radix
                      twin <- Map.add key step twin
                  else
                      radix <- Radix.remove key radix
                      twin <- Map.remove key twin

                  Expect.equal (Radix.count radix) (Map.count twin) "count"
                  Expect.equal (Radix.count before) beforeCount "the original is unchanged"

                  let found = Radix.tryFind key radix
                  Expect.equal found (if adds then ValueSome step else ValueNone) "the key itself"

              let seen = Dictionary<int, int>()
              Radix.iterate (fun key value -> seen.Add(key, value)) radix

              Expect.equal
                  (Seq.sort [ for entry in seen -> entry.Key, entry.Value ] |> List.ofSeq)
                  (Map.toList twin)
                  "all"

              for key in -40 .. 1400 do
                  let expected =
                      match Map.tryFind key twin with
                      | Some value -> ValueSome value
                      | None -> ValueNone

                  Expect.equal (Radix.tryFind key radix) expected "any key"))

      property "a Radix iterates in an order that depends on its keys alone" (fun (keys: int list) (seed: int) ->
          let order (keys: int[]) =
              let seen = ResizeArray<int>()
              let map = Array.fold (fun map key -> Radix.add key () map) Radix.empty keys
              Radix.iterate (fun key () -> seen.Add key) map
              seen.ToArray()

          let keys = Seq.toArray (Seq.distinct keys)
          let shuffled = Array.copy keys
          System.Random(seed).Shuffle shuffled
          Expect.equal (order shuffled) (order keys) "the order")

      property
          "a TimerQueue gives its entries in the order of instants, then of keys"
          (fun (entries: (int16 * int16) list) ->
              let timers =
                  List.fold
                      (fun timers (at: int16, key: int16) -> TimerQueue.add (int64 at * 1L<us>) (int key) timers)
                      TimerQueue.empty
                      entries

              let mutable rest = timers
              let popped = ResizeArray<struct (int64 * int)>()

              while TimerQueue.first rest <> Time.never do
                  let first = TimerQueue.first rest
                  let struct (at, key, left) = TimerQueue.pop rest
                  Expect.equal at first "what pop gives is what first says"
                  popped.Add(struct (int64 at, key))
                  rest <- left

              let sorted = [ for at, key in List.sort entries -> struct (int64 at, int key) ]
              Expect.equal (List.ofSeq popped) sorted "the order")

      property
          "the versions of a TimerQueue do not change each other"
          (fun (steps: (byte * byte * bool) list) (length: byte) ->
              let versions = ResizeArray<struct (TimerQueue * (int64 * int) list)>()
              versions.Add(struct (TimerQueue.empty, []))

              // Timers of a few lengths, set one after the other: most of them follow the latest version, the others any.
              let places =
                  [ for step in 0 .. 2 * (int length % 100) -> byte (step % 3), 0uy, step % 7 <> 6 ]
                  @ [ for kind, from, adds in steps -> kind, from, adds ]

              for index, (kind, from, adds) in Seq.indexed places do
                  let from = versions.Count - 1 - int from % versions.Count
                  let struct (queue, twin) = versions[from]

                  if adds then
                      let at = int64 index + (if kind % 3uy = 2uy then -7L * int64 kind else 100L * int64 (kind % 3uy))
                      let twin = List.sort ((at, index) :: twin)
                      versions.Add(struct (TimerQueue.add (at * 1L<us>) index queue, twin))
                  elif not twin.IsEmpty then
                      let struct (at, key, rest) = TimerQueue.pop queue
                      Expect.equal (int64 at, key) twin.Head "the first"
                      versions.Add(struct (rest, twin.Tail))

              for struct (queue, twin) in versions do
                  let mutable rest = queue
                  Expect.equal (TimerQueue.count queue) twin.Length "count"

                  for entry in twin do
                      let struct (at, key, left) = TimerQueue.pop rest
                      Expect.equal (int64 at, key) entry "an entry"
                      rest <- left)

      test "a TimerQueue of a million entries is emptied without running out of stack" {
          let mutable timers = TimerQueue.empty

          for key in 1..1_000_000 do
              timers <- TimerQueue.add (int64 (key * 7919 % 1_000_003) * 1L<us>) key timers

          let mutable last = Int64.MinValue * 1L<us>

          for _ in 1..1_000_000 do
              let struct (at, _, rest) = TimerQueue.pop timers
              Expect.isTrue (at >= last) "in order"
              last <- at
              timers <- rest

          Expect.throws (fun () -> TimerQueue.pop timers |> ignore) "an empty one"
      } ]

let private random =
    [ test "draws are the first words of the blocks of ChaCha20 in RFC 8439, A.1" {
          /// The blocks under a key, from block 0 on.
          let draws (key: byte[]) =
              Seq.unfold
                  (fun random -> let struct (word, next) = Random.next random in Some(word, next))
                  (Random.create (Owned key))

          let keyWith place (value: byte) = Array.init 32 (fun index -> if index = place then value else 0uy)
          Expect.equal (Seq.item 0 (draws (keyWith 0 0uy))) 0xade0b876u "test vector 1"
          Expect.equal (Seq.item 1 (draws (keyWith 0 0uy))) 0xbee7079fu "test vector 2"
          Expect.equal (Seq.item 1 (draws (keyWith 31 1uy))) 0x2452eb3au "test vector 3"
          Expect.equal (Seq.item 2 (draws (keyWith 1 255uy))) 0xfb4dd572u "test vector 4"
      }
      test "the same seed gives the same numbers, another seed others, and no draw repeats the last" {
          let draws seed =
              let mutable random = Random.create (Owned(Array.create 32 seed))

              [ for _ in 1..1000 do
                    let struct (bits, next) = Random.next random
                    random <- next
                    bits ]

          Expect.equal (draws 1uy) (draws 1uy) "the same seed"
          Expect.notEqual (draws 1uy) (draws 2uy) "another seed"
          Expect.isGreaterThan (List.distinct (draws 3uy)).Length 995 "different numbers"
          Expect.throwsT<ArgumentException> (fun () -> Random.create (Owned [| 1uy |]) |> ignore) "a short seed"
      } ]

let private slices =
    [ property
          "Bytes with equal content are equal and have equal hashes, in any array"
          (fun (content: byte[]) (pad: byte[]) ->
              let elsewhere = Owned(Array.concat [ pad; content; pad ], pad.Length, content.Length)
              Expect.equal elsewhere (Owned content) "equal"
              Expect.equal (elsewhere.GetHashCode()) ((Owned content).GetHashCode()) "hash"
              Expect.notEqual (Owned(Array.append content [| 0uy |])) (Owned content) "a longer one")

      property "a slice of a slice is the slice of both" (fun (content: byte[]) (a: byte) (b: byte) ->
          let a = int a % (content.Length + 1)
          let b = int b % (content.Length - a + 1)
          Expect.equal ((Owned content).Skip(a).Slice(0, b)) (Owned(Array.sub content a b)) "the slice")

      test "a slice outside its array is refused" {
          for offset, length in [ -1, 1; 0, 4; 4, 0; 2, 2; 0, -1; Int32.MaxValue, 1; 1, Int32.MaxValue ] do
              Expect.throws (fun () -> Owned(Array.zeroCreate 3, offset, length) |> ignore) $"{offset}, {length}"

          Expect.throws (fun () -> Owned(null, 0, 0) |> ignore) "no array"
      }
      property "Endpoints with equal parts are equal and have equal hashes" (fun (high, low, scope, port) ->
          let endpoint = { Endpoint.ofIPv6 high low port with Scope = scope }
          let again = { Endpoint.ofIPv6 high low port with Scope = scope }
          Expect.equal again endpoint "equal"
          Expect.equal (Endpoint.local 7us again) endpoint "how it is answered is not who it is"
          Expect.equal ((Endpoint.local 7us again).Hash 5UL) (endpoint.Hash 5UL) "nor in the hash"
          Expect.equal (again.Hash 5UL) (endpoint.Hash 5UL) "hash"
          Expect.notEqual { endpoint with Port = port + 1us } endpoint "another port"
          Expect.notEqual { endpoint with Low = low + 1UL } endpoint "another address"
          Expect.notEqual { endpoint with High = high + 1UL } endpoint "another network"
          Expect.notEqual { endpoint with Scope = scope + 1u } endpoint "another scope"
          Expect.notEqual (Endpoint.via 7us endpoint) endpoint "by another socket")

      test "an IPv4 address is stored in its mapped form, and adjacent addresses have different hashes" {
          let endpoint = Endpoint.ofIPv4 0x7F000001u 80us
          Expect.isTrue (Endpoint.isIPv4 endpoint) "is IPv4"
          Expect.equal (endpoint.High, endpoint.Low) (0UL, 0x0000FFFF7F000001UL) "::ffff:127.0.0.1"

          let hashes =
              [ for address in 0u .. 99u do
                    for port in 0us .. 99us do
                        (Endpoint.ofIPv4 address port).Hash 77UL ]

          Expect.isGreaterThan (List.distinct hashes).Length 9_990 "different hashes of ten thousand"
      } ]

let tests = testList "values" (serials @ structures @ random @ slices)
