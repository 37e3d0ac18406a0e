/// Unit tests of the sender: what it sends under which number, and how acknowledgements change it.
module UtpPunch.Protocol.Tests.SenderTests

open System
open System.Collections.Generic
open Expecto
open UtpPunch.Protocol
open UtpPunch.Protocol.Tests.Story

let private options =
    { StreamOptions.bep29 with
        PacketSize = 120
        PacketWindow = 60
        SendBuffer = 20_000
        NoDelay = false }

let private payload = options.PacketSize - Packet.HeaderLength
let private open' window sender = Sender.advertise window 0u true sender
let private large = 1 <<< 20

let private started (options: StreamOptions) (first: uint16) =
    let sender = Sender.create options (SeqNr first)
    open' (int64 large) sender
    sender

let private runsOf (next: unit -> Run) =
    [ let mutable run = next ()

      while not (isNull run) do
          run
          run <- next () ]

let private acknowledge now ackNr sack sender = Sender.acknowledge now now Rtt.none ackNr sack false true sender

/// The observer of a sender's packets: the bytes of each number, and whether the peer has reported to hold it.
[<Sealed>]
type private Watcher(first: SeqNr) =
    let contents = Dictionary<int, string>()
    let sacked = HashSet<int>()
    let mutable sent = 0
    let mutable acked = 0
    let mutable bytes = 0L

    member _.Sent = sent
    member _.Acked = acked
    member _.Sacked = sacked
    member _.Bytes = bytes
    member _.Outstanding = seq { acked .. sent - 1 } |> Seq.sumBy (fun index -> contents[index].Length / 2)

    member _.See(run: Run, isNew: bool) =
        for place in 0 .. run.Count - 1 do
            let index =
                let distance = run.First + place - (first + acked)
                acked + distance

            let from = place * run.Size
            let piece = run.Data.Slice(from, min run.Size (run.Data.Length - from))
            let content = Convert.ToHexString piece.Span

            if isNew then
                Expect.equal index sent "new packets are numbered one by one"
                contents[index] <- content
                bytes <- bytes + int64 piece.Length
                sent <- sent + 1
            else
                Expect.isTrue
                    (index >= acked && index < sent)
                    $"packet {index} is retransmitted; {acked} to {sent} are outstanding"

                Expect.equal content contents[index] "a retransmission is unchanged"
                Expect.isFalse (sacked.Contains index) "the peer does not hold it"

    /// Returns how many bytes the acknowledgement covers for the first time.
    member _.Acknowledge(upTo: int, selected: int list) =
        let mutable fresh = 0

        for index in acked .. upTo - 1 do
            if not (sacked.Contains index) then fresh <- fresh + contents[index].Length / 2

        acked <- upTo

        for index in selected do
            if index >= acked && index < sent && sacked.Add index then
                fresh <- fresh + contents[index].Length / 2

        fresh

let private walk (seed: int) (isn: uint16) =
    let random = System.Random seed
    let options = { options with NoDelay = seed % 2 = 0 }
    let first = SeqNr isn
    let watcher = Watcher first
    let mutable sender = started options isn
    let mutable written = 0L
    let mutable finished = false
    let mutable now = 0L<us>
    let all = content 400_000

    for _ in 1..400 do
        now <- now + Time.milliseconds (random.Next 50)
        let original = sender

        let oldest, next, room =
            Scoreboard.oldest (Sender.board original), Scoreboard.next (Sender.board original), Sender.room original

        sender <- Sender.copy original

        match random.Next 10 with
        | 0
        | 1
        | 2 when not finished ->
            let count = random.Next(1 + min (Sender.room sender) 3_000)
            Sender.write (Owned(all, int written, count)) sender
            written <- written + int64 count
        | 3 when random.Next 40 = 0 ->
            finished <- true
            Sender.finish sender
        | 4 when random.Next 3 = 0 ->
            Scoreboard.timeOut (Sender.board sender) |> ignore
            Expect.equal (Scoreboard.flight (Sender.board sender)) 0 "in flight after a time-out"
        | 5 when random.Next 3 = 0 ->
            match Scoreboard.probeLoss now (random.Next 2 = 0) (Sender.board sender) with
            | null -> ()
            | run -> watcher.See(run, false)
        | _ ->
            let upTo = random.Next(watcher.Acked, min watcher.Sent (watcher.Acked + 8) + 1)
            let sack = Array.zeroCreate<byte>(4 * random.Next 3)
            random.NextBytes sack

            for index in 0 .. sack.Length - 1 do
                // Sparse bits, and only for what was sent.
                sack[index] <- sack[index] &&& byte (random.Next 256)

                for bit in 0..7 do
                    if upTo + 1 + 8 * index + bit >= watcher.Sent then
                        sack[index] <- sack[index] &&& ~~~(1uy <<< bit)

            let selected =
                [ for bit in 0 .. 8 * sack.Length - 1 do
                      if sack[bit / 8] &&& (1uy <<< (bit % 8)) <> 0uy then upTo + 1 + bit ]

            let freed = upTo - watcher.Acked
            let result = acknowledge now (first + (upTo - 1)) (Borrowed sack) sender
            Expect.equal result.Freed freed "packets freed"
            Expect.equal result.Bytes (watcher.Acknowledge(upTo, selected)) "bytes acknowledged for the first time"

        let window = payload * (1 + random.Next 60)
        let flight = Scoreboard.flight (Sender.board sender)

        for run in runsOf (fun () -> Scoreboard.retransmit now window Train.Limit (Sender.board sender)) do
            watcher.See(run, false)

        if not (Scoreboard.hasLost (Sender.board sender)) then
            let mutable fresh = 0

            for run in runsOf (fun () -> Sender.sendNew now window Train.Limit sender) do
                watcher.See(run, true)
                fresh <- fresh + run.Data.Length

            if fresh > 0 then
                Expect.isLessThanOrEqual (Scoreboard.flight (Sender.board sender)) window "in flight after new data"

        // The oldest lost packet is retransmitted whatever the window is.
        Expect.isLessThanOrEqual (Scoreboard.flight (Sender.board sender)) (max window flight + payload) "in flight"

        Expect.equal (Scoreboard.packets (Sender.board sender)) (watcher.Sent - watcher.Acked) "packets outstanding"

        Expect.isLessThanOrEqual
            (Scoreboard.packets (Sender.board sender))
            options.PacketWindow
            "packets outstanding, at most"

        Expect.isLessThanOrEqual
            (Scoreboard.flight (Sender.board sender))
            watcher.Outstanding
            "in flight is outstanding"

        let queued = int (written - watcher.Bytes)
        Expect.equal (Sender.room sender) (options.SendBuffer - queued - watcher.Outstanding) "room"

        Expect.equal
            (Scoreboard.oldest (Sender.board original), Scoreboard.next (Sender.board original), Sender.room original)
            (oldest, next, room)
            "the original"

    // The peer acknowledges everything that is sent: all of it arrives.
    if not finished then Sender.finish sender

    for _ in 1..2_000 do
        for run in runsOf (fun () -> Scoreboard.retransmit now large Train.Limit (Sender.board sender)) do
            watcher.See(run, false)

        for run in runsOf (fun () -> Sender.sendNew now large Train.Limit sender) do
            watcher.See(run, true)

        acknowledge now (Scoreboard.next (Sender.board sender) + -1) Borrowed.Empty sender |> ignore
        watcher.Acknowledge(watcher.Sent, []) |> ignore

    Expect.equal (Sender.state sender) SendState.FinAcked "the direction to the peer"
    Expect.equal watcher.Bytes written "bytes sent under new numbers"

    Expect.equal
        (Scoreboard.flight (Sender.board sender), Scoreboard.packets (Sender.board sender))
        (0, 0)
        "nothing is left"

    Expect.isFalse (Scoreboard.hasLost (Sender.board sender) || Sender.hasQueued sender) "nothing is queued or lost"
    Expect.equal (Sender.room sender) options.SendBuffer "room"

let private sendNew sender = runsOf (fun () -> Sender.sendNew 0L<us> large Train.Limit sender)
let private lengths (runs: Run list) = [ for run in runs -> run.Data.Length ]

let tests =
    testList
        "sender"
        [ for isn in [ 0us; 1us; 32767us; 32768us; 65500us; 65535us ] do
              test $"any acknowledgements free what they cover, and retransmissions are unchanged, from number {isn} on" {
                  for seed in 1..12 do
                      walk seed isn
              }

          test "a partly filled packet waits until the one before it is acknowledged" {
              let sender = started options 5us
              Sender.write (Owned(content 10)) sender
              Expect.equal (lengths (sendNew sender)) [ 10 ] "the first goes at once"
              Sender.write (Owned(content 20)) sender
              Expect.isEmpty (sendNew sender) "the second waits"
              Sender.write (Owned(content 90)) sender
              Expect.equal (lengths (sendNew sender)) [ 100 ] "a full one does not"
              acknowledge 0L<us> (SeqNr 5us) Borrowed.Empty sender |> ignore
              Expect.equal (lengths (sendNew sender)) [ 10 ] "the rest, once the short one is acknowledged"
          }
          test "without delay, and at the end, partly filled packets go at once" {
              let sender = started { options with NoDelay = true } 5us

              for _ in 1..3 do
                  Sender.write (Owned(content 10)) sender
                  Expect.equal (lengths (sendNew sender)) [ 10 ] "no delay"

              let sender = started options 5us
              Sender.write (Owned(content 10)) sender
              sendNew sender |> ignore
              Sender.write (Owned(content 20)) sender
              Sender.finish sender
              let runs = sendNew sender
              Expect.equal (lengths runs) [ 20; 0 ] "the last bytes and the FIN"
              Expect.isTrue (List.last runs).IsFin "the FIN"
          }
          test "no more packets are outstanding than the packet window says, the FIN included" {
              let sender = started { options with PacketWindow = 8 } 5us
              Sender.write (Owned(content (8 * payload))) sender
              Sender.finish sender
              Expect.equal (sendNew sender |> List.sumBy (fun run -> run.Count)) 8 "packets"
              acknowledge 0L<us> (SeqNr 5us) Borrowed.Empty sender |> ignore
              let runs = sendNew sender
              Expect.isTrue (runs.Length = 1 && runs[0].IsFin) "the FIN takes the place that became free"
          }
          test "nothing new is sent against a closed window but one probe, which is retransmitted when the window opens" {
              let sender = Sender.create options (SeqNr 5us)
              open' 0L sender
              Sender.write (Owned(content 1_000)) sender
              Expect.isEmpty (sendNew sender) "new packets"
              Expect.isTrue (Sender.isBlocked sender) "blocked"
              let probe = Sender.probeWindow 0L<us> sender
              Expect.equal probe.Count 1 "one packet"
              Expect.isNull (Sender.probeWindow 0L<us> sender) "only one"
              Expect.isEmpty (sendNew sender) "still closed"
              Sender.advertise 10_000L 1u false sender
              let repeated = Scoreboard.retransmit 0L<us> large Train.Limit (Sender.board sender)
              Expect.equal repeated.First probe.First "the probe was dropped, and is retransmitted first"
              Expect.equal repeated.Data probe.Data "unchanged"
              Expect.equal (sendNew sender |> lengths |> List.sum) (1_000 - probe.Data.Length) "then the rest"
          }
          test "no byte goes beyond the advertised window" {
              let sender = Sender.create options (SeqNr 5us)
              open' 250L sender
              Sender.write (Owned(content 1_000)) sender
              Expect.isLessThanOrEqual (sendNew sender |> lengths |> List.sum) 250 "bytes"
              // An old, reordered packet must neither shrink nor open it.
              Sender.advertise 0L 0xFFFFFFF0u false sender
              Expect.equal (Sender.peerWindow sender) 250L "after an older packet"
          }
          test "a packet behind which three are selectively acknowledged is lost, and retransmitted once" {
              let sender = started options 5us
              Sender.write (Owned(content (10 * payload))) sender
              sendNew sender |> ignore
              acknowledge 1L<us> (SeqNr 5us) (Borrowed [| 0b11uy; 0uy; 0uy; 0uy |]) sender |> ignore
              Expect.isFalse (Scoreboard.hasLost (Sender.board sender)) "two are not enough"
              let result = acknowledge 2L<us> (SeqNr 5us) (Borrowed [| 0b111uy; 0uy; 0uy; 0uy |]) sender
              Expect.isTrue result.Congested "congested"
              let runs = runsOf (fun () -> Scoreboard.retransmit 2L<us> large Train.Limit (Sender.board sender))
              Expect.equal [ for run in runs -> run.First.Value, run.Count ] [ 6us, 1 ] "packets retransmitted"
              let more = acknowledge 3L<us> (SeqNr 5us) (Borrowed [| 0b1111uy; 0uy; 0uy; 0uy |]) sender
              Expect.isFalse (more.Congested || Scoreboard.hasLost (Sender.board sender)) "the same loss counts once"
          }
          test "packets that a time-out marked lost and the peer has received do not mean that the path reorders" {
              let sender = started options 5us
              Sender.write (Owned(content (20 * payload))) sender
              sendNew sender |> ignore
              acknowledge 1L<us> (SeqNr 4us) (Borrowed [| 0b1uy; 0uy; 0uy; 0uy |]) sender |> ignore
              Scoreboard.timeOut (Sender.board sender) |> ignore
              // The acknowledgements of the first transmissions arrive after all: fifteen, then three behind one that is missing.
              acknowledge 2L<us> (SeqNr 19us) Borrowed.Empty sender |> ignore
              runsOf (fun () -> Scoreboard.retransmit 2L<us> large Train.Limit (Sender.board sender)) |> ignore
              acknowledge 3L<us> (SeqNr 24us) Borrowed.Empty sender |> ignore
              Sender.write (Owned(content (10 * payload))) sender
              sendNew sender |> ignore
              acknowledge 4L<us> (SeqNr 24us) (Borrowed [| 0b111uy; 0uy; 0uy; 0uy |]) sender |> ignore
              let runs = runsOf (fun () -> Scoreboard.retransmit 4L<us> large Train.Limit (Sender.board sender))
              Expect.equal [ for run in runs -> run.First.Value, run.Count ] [ 25us, 1 ] "lost by count"
          }
          test "after three duplicate acknowledgements without selective ones the oldest packet is retransmitted" {
              let sender = started options 5us
              Sender.write (Owned(content (10 * payload))) sender
              sendNew sender |> ignore
              acknowledge 1L<us> (SeqNr 5us) Borrowed.Empty sender |> ignore

              for repeat in 1..3 do
                  Expect.isFalse (Scoreboard.hasLost (Sender.board sender)) $"before repetition {repeat}"
                  acknowledge 2L<us> (SeqNr 5us) Borrowed.Empty sender |> ignore

              let runs = runsOf (fun () -> Scoreboard.retransmit 2L<us> large Train.Limit (Sender.board sender))
              Expect.equal [ for run in runs -> run.First.Value, run.Count ] [ 6us, 1 ] "packets retransmitted"
          }
          test "a retransmitted packet gives no round trip (Karn)" {
              let sender = started options 5us
              Sender.write (Owned(content payload)) sender
              sendNew sender |> ignore
              Scoreboard.timeOut (Sender.board sender) |> ignore
              Scoreboard.retransmit (Time.seconds 1) large Train.Limit (Sender.board sender) |> ignore
              let result = acknowledge (Time.seconds 2) (SeqNr 5us) Borrowed.Empty sender
              Expect.equal result.RoundTrip ValueNone "round trip"
          }
          test "invalid calls throw" {
              let sender = started options 5us
              Expect.throwsT<ArgumentException> (fun () -> Sender.write (Owned(content 20_001)) sender) "too much"
              Sender.finish sender

              Expect.throwsT<InvalidOperationException>
                  (fun () -> Sender.write (Owned(content 1)) sender)
                  "bytes after the end"
          } ]
