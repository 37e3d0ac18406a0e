namespace UtpPunch.Sim

open System
open UtpPunch.Protocol
open UtpPunch.Tracing

/// Two applications that each send a number of bytes and finish, over links with faults. Every stream's content is a function of
/// the seed, so each byte that is delivered is checked where it arrives.
[<NoComparison>]
type Conversation =
    {
        Seed: uint64
        Dialect: Dialect
        FromA: int
        FromB: int
        /// Bytes that an application writes at once, at most.
        WriteSize: int
        LinkAB: Link
        LinkBA: Link
        NoDelay: bool
        Batches: bool
        /// Bytes of receive buffer at both ends.
        ReceiveBuffer: int
    }

/// How a conversation went. `Trouble` is empty when everything held.
[<NoComparison>]
type Verdict = { Trouble: string list; Took: Duration; Pair: Pair }

module Conversation =
    let calm =
        { Seed = 1UL
          Dialect = Dialect.Bep29
          FromA = 100_000
          FromB = 100_000
          WriteSize = 10_000
          LinkAB = Link.perfect
          LinkBA = Link.perfect
          NoDelay = false
          Batches = false
          ReceiveBuffer = 1 <<< 20 }

    let optionsOf (conversation: Conversation) =
        let adapt (options: StreamOptions) =
            { options with NoDelay = conversation.NoDelay; ReceiveBuffer = conversation.ReceiveBuffer }

        let bep29 = NodeOptions.standard.Bep29

        { NodeOptions.standard with
            Dialect = conversation.Dialect
            // Every other one stays with 1400 bytes; the others find out what a packet may hold.
            Bep29 =
                (if conversation.Seed % 2UL = 0UL then
                     adapt bep29
                 else
                     adapt { bep29 with PacketSize = 1400; LargestPacket = 1400 })
            UtpPunch = adapt NodeOptions.standard.UtpPunch }

    /// One application: writes what there is room for, then finishes.
    [<Sealed>]
    type private Writer(pair: Pair, side: Side, stream: StreamView, key: uint64, total: int, writeSize: int) =
        let mutable written = 0
        let mutable finished = false

        member _.Pump() =
            let mutable going = stream.Closed.IsNone

            while going && written < total do
                let length = min writeSize (total - written)
                let chunk = Array.init length (fun i -> Keyed.byteAt key (int64 (written + i)))
                let count = pair.Write(side, stream, ReadOnlySpan<byte>(chunk))
                written <- written + count
                going <- count > 0

            if written = total && not finished && stream.Closed.IsNone then
                finished <- true
                pair.Tell(side, Event.Finish stream.ConnId)

    let private checkReceived name (stream: StreamView) key total =
        [ if stream.Received.Count > total then
              $"{name} received more than was sent"
          else
              let mutable wrong = -1

              for i in 0 .. stream.Received.Count - 1 do
                  if wrong < 0 && stream.Received[i] <> Keyed.byteAt key (int64 i) then wrong <- i

              if wrong >= 0 then $"{name} received a wrong byte at {wrong}"

              if stream.Ended && stream.Received.Count <> total then
                  $"{name} saw the end after {stream.Received.Count} of {total} bytes"

              if not stream.Ended then
                  $"{name} never saw the end: {stream.Received.Count} of {total} bytes"

              match stream.Closed with
              | ValueSome CloseReason.Finished -> ()
              | ValueSome reason -> $"{name} closed with %A{reason}"
              | ValueNone -> $"{name} never closed" ]

    /// Runs until both sides have closed or the time is over. `prepare` may hook into the pair before it starts.
    let runWith (prepare: Pair -> unit) (limit: Duration) (conversation: Conversation) : Verdict =
        let options = optionsOf conversation

        let pair = Pair(conversation.Seed, options, options, conversation.LinkAB, conversation.LinkBA)

        pair.Batches <- conversation.Batches
        prepare pair
        let keyA = Keyed.mix (conversation.Seed ^^^ 0xAAAAUL)
        let keyB = Keyed.mix (conversation.Seed ^^^ 0xBBBBUL)
        pair.Tell(pair.B, Event.Listen 16)
        let streamA = pair.Connect(pair.A, conversation.Dialect)

        let writerA = Writer(pair, pair.A, streamA, keyA, conversation.FromA, max 1 conversation.WriteSize)

        let mutable writerB = Unchecked.defaultof<Writer>

        let isOver () =
            if streamA.Opened then writerA.Pump()

            if pair.B.Accepted.Count > 0 then
                if isNull (box writerB) then
                    writerB <-
                        Writer(pair, pair.B, pair.B.Accepted[0], keyB, conversation.FromB, max 1 conversation.WriteSize)

                writerB.Pump()

            streamA.Closed.IsSome && pair.B.Accepted.Count > 0 && pair.B.Accepted[0].Closed.IsSome

        pair.RunUntil(limit, isOver) |> ignore

        let trouble =
            [ yield! checkReceived "A" streamA keyB conversation.FromB

              if pair.B.Accepted.Count = 1 then
                  yield! checkReceived "B" pair.B.Accepted[0] keyA conversation.FromA
              else
                  $"B accepted {pair.B.Accepted.Count} streams" ]

        { Trouble = trouble; Took = pair.Now; Pair = pair }

    let run limit conversation = runWith ignore limit conversation
