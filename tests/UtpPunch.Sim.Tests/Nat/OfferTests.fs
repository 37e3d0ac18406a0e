/// Punching without a rendezvous: the peers ask a STUN server, and their offers travel by a channel of the application's, which may be slow.
module UtpPunch.Sim.Tests.OfferTests

open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim

/// Two peers, and how their offers travel.
[<NoComparison>]
type private Exchange =
    {
        Scenario: PunchScenario
        /// How long after B the peer A begins.
        Wait: Duration
        /// Whether B has made its offer when it had that of A.
        IsAnswer: bool
    }

let private between a b : Exchange =
    { Scenario = PunchScenario.between [ NatOracle.models[a] ] [ NatOracle.models[b] ]
      Wait = Time.seconds 5
      IsAnswer = true }

let private room = Owned(Array.create 32 9uy)

let private plan (exchange: Exchange) (host: NodeHost) =
    { PunchScenario.plan exchange.Scenario host.Socket [| host.Socket |] with
        Servers = [||]
        Room = room
        PunchTimeout = Time.seconds 10 }

let private offer (exchange: Exchange) (host: NodeHost) nonce =
    let views = host.Mapped.ToArray()

    Offer.write
        { Nonce = Owned(Array.create 16 nonce)
          Birthday = exchange.Scenario.Birthday
          Mapping = Offer.mappingOf views
          Observed = (if views.Length = 0 then Endpoint.nowhere else views[0])
          Last = (if views.Length = 0 then Endpoint.nowhere else Array.last views)
          Hosts = [| host.Socket |] }

/// Lets both ask the sockets of a server by STUN, and exchange their offers.
let private exchangeIn (internet: Internet) (servers: Endpoint[]) (exchange: Exchange) (a: NodeHost) (b: NodeHost) =
    for host in [ a; b ] do
        for index, server in Array.indexed servers do
            host.Tell(internet, Event.Discover(10 + index, { StunClient.standard [| server |] with Behaviour = false }))

    internet.RunUntil(internet.Now + Time.seconds 6)
    let ofA, ofB = offer exchange a 1uy, offer exchange b 2uy
    b.Tell(internet, Event.PunchOffered(1, plan exchange b, ofB, ofA, exchange.IsAnswer))
    internet.RunUntil(internet.Now + exchange.Wait)
    a.Tell(internet, Event.PunchOffered(1, plan exchange a, ofA, ofB, false))
    let limit = internet.Now + Time.seconds 70
    let isDone () = a.Punched.Count > 0 && b.Punched.Count > 0 && (a.Opened > 0) = (b.Opened > 0)

    while not (isDone ()) && internet.Advance limit do
        ()

    // A stream needs a round trip more.
    internet.RunUntil(internet.Now + Time.seconds 2)

let private isMet (a: NodeHost) (b: NodeHost) =
    let isOpen (host: NodeHost) = host.Punched.Count > 0 && host.Punched[0].Stage = PunchStage.Open
    isOpen a && isOpen b && a.Opened = 1 && b.Opened = 1

let private run (exchange: Exchange) : bool =
    let scenario = exchange.Scenario

    let internet =
        Internet(
            scenario.Seed,
            { NetworkConfig.openInternet with Path = scenario.Path },
            Unchecked.defaultof<IInternetWatcher>
        )

    let server = PunchScenario.addServer internet (Keyed.mix (scenario.Seed + 1UL))
    let struct (a, b) = PunchScenario.addPeers internet scenario
    a.IsChecked <- scenario.Seed % 10UL = 0UL
    exchangeIn internet server.Sockets exchange a b

    for host in [ a; b ] do
        Expect.equal host.Punched.Count 1 "one result"
        Expect.isLessThan host.Punched[0].Elapsed (Time.seconds 64) "in time"

    isMet a b

let private matrix change =
    [| for row in 0..9 ->
           Array.Parallel.init 10 (fun column ->
               let exchange: Exchange = between row column |> change

               run { exchange with Scenario = { exchange.Scenario with Seed = uint64 (1000 + row * 100 + column) } }) |]

let private show (table: bool[][]) =
    table
    |> Array.map (fun row -> System.String [| for cell in row -> if cell then 'Y' else '.' |])
    |> String.concat "\n"

let private count (table: bool[][]) = table |> Array.sumBy (Array.sumBy (fun met -> if met then 1 else 0))

let tests =
    testList
        "offers"
        [ test
              "the pairs of NATs connect that connect at a rendezvous, when both begin at once and when one begins later" {
              for text, change in
                  [ "at once", (fun it -> { it with Wait = 0L<us>; IsAnswer = false })
                    "an answer", id
                    "an answer that takes half a minute", (fun it -> { it with Wait = Time.seconds 30 }) ] do
                  let cells = matrix change
                  printfn $"{text}: {count cells} of 100\n{show cells}"
                  Expect.equal (show cells) (show PunchMatrices.predicted) text
          }
          test "an answer from a NAT whose ports follow no order connects within 2 s of the peer's begin" {
              for a in 0..9 do
                  for b in [ 5; 7; 8; 9 ] do
                      if PunchMatrices.predicted[a][b] then
                          let internet = Punchers.unwatched 12UL
                          let server = PunchScenario.addServer internet 1UL
                          let exchange = between a b
                          let struct (one, other) = PunchScenario.addPeers internet exchange.Scenario
                          exchangeIn internet server.Sockets exchange one other
                          Expect.isTrue (isMet one other) $"{a} and {b}"
                          // Six seconds are for STUN.
                          let took = one.OpenedAt - Time.seconds 6 - exchange.Wait
                          Expect.isLessThan took (Time.seconds 2) $"{a} and {b}"
          }
          test "birthday probing waits for a peer that begins later: at least 85 of 100 connect" {
              let cells =
                  matrix (fun it -> { it with Wait = Time.seconds 8; Scenario = { it.Scenario with Birthday = true } })

              printfn $"birthday: {count cells} of 100\n{show cells}"
              Expect.isGreaterThanOrEqual (count cells) 85 (show cells)
          }
          test "without STUN, peers of one network connect by their own addresses, and others do not" {
              let meets isOneHome =
                  let internet = (Punchers.unwatched 5UL)
                  let home number = PunchScenario.home internet number [ NatOracle.models[0] ]
                  let struct (first, _) = home 1
                  let second = if isOneHome then first else (let struct (other, _) = home 2 in other)
                  let a = PunchScenario.addHost internet first 6001us 2UL
                  let b = PunchScenario.addHost internet second 7002us 3UL
                  exchangeIn internet [||] (between 0 0) a b
                  isMet a b, a.Punched[0].Kind

              Expect.equal (meets true) (true, PathKind.Host) "one home"
              Expect.isFalse (fst (meets false)) "two homes"
          }
          test "a peer whose key is another one is not heard, and both end after their time-out" {
              let internet = (Punchers.unwatched 5UL)
              let server = PunchScenario.addServer internet 1UL
              let struct (a, b) = PunchScenario.addPeers internet (PunchScenario.between [] [])
              let exchange = between 0 0
              exchangeIn internet server.Sockets { exchange with Wait = 0L<us> } a b
              Expect.isTrue (isMet a b) "with one key"
              let other = { plan exchange a with Room = Owned(Array.create 32 8uy) }
              let ofA, ofB = offer exchange a 3uy, offer exchange b 4uy
              a.Tell(internet, Event.PunchOffered(2, other, ofA, ofB, false))
              b.Tell(internet, Event.PunchOffered(2, plan exchange b, ofB, ofA, true))
              internet.RunUntil(internet.Now + Time.seconds 70)
              Expect.equal a.Punched[1].Stage PunchStage.NothingHeard "A"
              Expect.equal b.Punched[1].Stage PunchStage.NothingHeard "B"
              // 135 to the observed endpoint, and as many of the few others.
              Expect.isLessThan (a.Punched[1].Sent) 200 "packets"
          }
          test "an offer that cannot be read, or is one's own, ends the punch at once" {
              let internet = (Punchers.unwatched 5UL)
              let struct (a, _) = PunchScenario.addPeers internet (PunchScenario.between [] [])
              let exchange = between 0 0
              let own = offer exchange a 1uy

              for index, peer in Seq.indexed [ own; Owned.Empty; own.Slice(0, own.Length - 1) ] do
                  a.Tell(internet, Event.PunchOffered(index + 1, plan exchange a, own, peer, false))
                  internet.RunUntil(internet.Now + Time.milliseconds 1)
                  Expect.equal a.Punched[index].Stage PunchStage.Rejected "the result"
          } ]
