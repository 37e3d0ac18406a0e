namespace UtpPunch.Sim

open UtpPunch.Protocol

/// Scenarios that every campaign runs before the random ones, each with the coverage marks that it must hit: situations that are too
/// rare in random scenarios.
module Directed =
    let private path = { Path.perfect with Delay = Time.milliseconds 20 }
    let private calm = { Scenario.calm with AB = path; BA = path; HealAt = Time.seconds 40 }
    let private ms = Time.milliseconds

    let private withFlow change scenario = { scenario with Flows = List.map change scenario.Flows }

    let private wraps =
        // A's sequence numbers wrap after a few dozen packets, its time stamps after a tenth of a second.
        let flow = Scenario.flow 400_000
        let noisy = { path with Loss = Loss.Each 30; Duplication = 100; Reorder = 100; ReorderBy = ms 30 }
        let scenario = { calm with AB = noisy; BA = noisy; Flows = [ flow ] }
        let seed = Wraps.seedNear scenario
        let clock = { Scenario.clock with Offset = Wraps.clockNear (ms 100) seed }
        { scenario with NodeSeed = seed; A = { Scenario.host with Clock = clock } }

    let private queue limit rate =
        { calm with
            AB = { path with Rate = Rate.Constant rate; Queue = limit }
            Flows = [ Scenario.flow 600_000 ] }

    /// The reader stops for 30 s, and the window update is lost.
    let private stall =
        let host = { Scenario.host with ReceiveBuffer = 20_000 }
        let cut = { From = Time.seconds 29; Until = Time.seconds 32 }

        { calm with B = host; BA = { path with Cuts = [ cut ] } }
        |> withFlow (fun flow ->
            { flow with
                Acceptor = { flow.Acceptor with Bytes = 0; StallAt = 1_000; StallFor = Time.seconds 30 } })

    let private pauses =
        calm
        |> withFlow (fun flow ->
            let slow = { flow.Dialler with Bytes = 3_000; Chunk = 1_000; Pause = Time.seconds 28 }
            { flow with Dialler = slow; Acceptor = { flow.Acceptor with Bytes = 0 } })

    /// All packets are lost for a while in the middle of the data.
    let private silence =
        let cut = { From = ms 150; Until = Time.seconds 8 }
        let host = { Scenario.host with SendBuffer = 65_536 }

        { calm with A = host; AB = { path with Cuts = [ cut ] }; Flows = [ Scenario.flow 1_000_000 ] }

    let private refused =
        { calm with AB = { path with Mtu = [ { Path.narrow 1_000 with Telling = Telling.System } ] } }

    let private blackHole = { calm with AB = { path with Mtu = [ Path.narrow 1_000 ] } }

    let private searching = { Scenario.host with PacketSize = 1200; LargestPacket = 65_507 }

    let private over mtu =
        { calm with
            A = searching
            B = searching
            AB = { path with Mtu = mtu }
            BA = { path with Mtu = mtu }
            Flows = [ Scenario.flow 1_000_000 ] }

    /// Nothing but probes is lost.
    let private wide = over [ Path.narrow 8_972 ]
    let private strict = over [ Path.narrow 1_200 ]
    let private told = over [ { Path.narrow 1_464 with Telling = Telling.System } ]

    /// L8: from an instant on the path carries less than a stream's initial packet size, and does not report it.
    let private narrows size telling =
        over [ { Path.narrow size with From = ms 150; Telling = telling; Fragments = true } ]

    let private smallSocket =
        let socket = { Scenario.socket with ReceiveBuffer = 8_000; Wake = ms 5; Batch = 1 }
        { calm with B = { Scenario.host with Socket = socket } }

    let private link rate = { calm with AB = { path with Rate = rate }; Flows = [ Scenario.flow 600_000 ] }

    /// A shared medium forwards, and a modem that thins out acknowledgements back.
    let private radio =
        { calm with
            AB = { path with Lateness = Lateness.Medium(ms 4, ms 5, ms 100, Time.seconds 1) }
            BA = { path with Lateness = Lateness.Thinned(ms 10, 8) }
            Flows = [ Scenario.flow 600_000 ] }

    let private otherRoute =
        { link (Rate.Steps [ 0L<us>, 100_000; Time.seconds 3, 300_000 ]) with
            BA = { path with Lateness = Lateness.Steps [ Time.seconds 1, ms 100; Time.seconds 2, 0L<us> ] } }

    let private trains =
        { calm with
            AB = { path with Drops = [ Drop.Trains ] }
            BA = { path with Drops = [ Drop.Trains ] }
            Flows = [ Scenario.flow 1_000_000 ] }

    /// With the marks that each must hit.
    let all: struct (string * Scenario * string list) list =
        [ struct ("numbers and clocks that wrap", wraps, [ "lost: loss"; "seq wrap"; "ack wrap"; "ts wrap" ])
          struct ("a short queue", queue (Queue.Tail 6_000) 100_000, [ "lost: queue"; "cwnd yields to loss" ])
          struct ("a long queue", queue (Queue.Tail 500_000) 100_000, [ "delay > target"; "cwnd yields to delay" ])
          struct ("CoDel", queue (Queue.CoDel 200_000) 50_000, [ "lost: codel" ])
          struct ("a reader that stops", stall, [ "zero window"; "WindowProbe" ])
          struct ("long pauses", pauses, [ "KeepAlive" ])
          struct ("an outage", silence, [ "three time-outs in a row"; "cwnd at minimum"; "send buffer full" ])
          struct ("EMSGSIZE", refused, [ "lost: emsgsize"; "closed: TimedOut" ])
          struct ("a black hole", blackHole, [ "lost: mtu" ])
          struct ("a wide path", wide, [ "probe"; "probe lost"; "packets have grown" ])
          struct ("a path of the initial packet size", strict, [ "probe lost" ])
          struct ("a limit that the system reports", told, [ "probe lost"; "lost: emsgsize"; "packets have grown" ])
          struct ("a path that narrows, unreported",
                  narrows 1_100 Telling.Nobody,
                  [ "BlackHole"; "may fragment"; "lost: mtu"; "closed: Finished" ])
          struct ("a path that narrows, reported",
                  narrows 1_400 Telling.Router,
                  [ "PathShrunk"; "may fragment"; "lost: mtu"; "closed: Finished" ])
          struct ("a small socket buffer", smallSocket, [ "lost: socket" ])
          struct ("a device that drops trains", trains, [ "lost: train"; "TrainsLost"; "closed: Finished" ]) ]

    /// The models of links, which random scenarios do not draw. No campaign counts them as runs.
    let links: struct (string * Scenario * string list) list =
        [ struct ("a policer", link (Rate.Policed(200_000, 20_000)), [ "lost: policer"; "closed: Finished" ])
          struct ("a shaper", link (Rate.Shaped(200_000, 50_000, 1_000_000)), [ "closed: Finished" ])
          struct ("a cellular link", link (Rate.Cellular 200_000), [ "closed: Finished" ])
          struct ("a radio link", radio, [ "lost: thinned"; "closed: Finished" ])
          struct ("other routes and rates", otherRoute, [ "closed: Finished" ]) ]
