namespace UtpPunch.Tracing

open System
open UtpPunch.Protocol

/// Reads what `Schema` visits from lines. Throws `FormatException`.
[<Sealed>]
type internal LineReader(payloads: TracePayloads, lines: TraceLine[]) =
    inherit Fields()

    /// Datagrams that lay in one buffer lie in one again, since the core joins those that are adjacent. No buffer is longer.
    static let mostBuffer = 1 <<< 20

    /// What the lines of one step may stand for without holding it, in bytes.
    static let mostGenerated = 1L <<< 26

    let mutable at = 0
    let mutable generated = 0L
    let mutable buffer: byte[] = null
    let mutable start = 0
    let mutable length = 0

    let find (name: string) : string =
        match lines[at].Find name with
        | null -> raise (FormatException("There is no " + name + "=."))
        | text -> text

    let read (name: string) (parse: string -> 'T) : 'T =
        let text = find name

        try
            parse text
        with :? FormatException as error ->
            raise (FormatException(name + "=: " + error.Message, error))

    let behind (line: TraceLine) =
        match line.Find "off" with
        | null -> ValueNone
        | text -> ValueSome(int (ValueText.within 0L (int64 mostBuffer) text))

    /// Counts contents that are made and not in the line.
    let generate (text: string) (length: int) =
        if isNull text || text.StartsWith '#' || text.StartsWith '~' then
            generated <- generated + int64 length

            if generated > mostGenerated then
                raise (FormatException "The step stands for more than 64 MiB that are not in the trace.")

    /// How long a buffer must be for the run of this line and for those behind it that lie in the same one.
    let extent () =
        let mutable first = 0
        let mutable until = length
        let mutable next = at + 1
        let mutable going = true

        while going && next < lines.Length do
            if lines[next].Kind = "recv" then
                match behind lines[next] with
                | ValueSome off ->
                    first <- first + off
                    until <- first + int (ValueText.within 0L (int64 mostBuffer) (lines[next].Find "len"))

                    if until > mostBuffer then
                        ValueText.bad "place within a buffer of 1 MiB" (ValueText.number (int64 first))
                | ValueNone -> going <- false
            elif lines[next].Kind <> "pkt" then
                going <- false

            next <- next + 1

        until

    /// The line that is read.
    member _.At
        with get () = at
        and set value = at <- value

    /// Bytes that the lines read stand for and do not hold.
    member _.Generated = generated

    /// Runs of datagrams behind other events lie in buffers of their own.
    member _.Leave() = buffer <- null

    member private this.Header() : Header =
        match Array.tryFind (fun (field: string) -> field.IndexOf '=' < 0) lines[at].Fields with
        | None -> raise (FormatException "There is neither a packet type nor raw=.")
        | Some word ->
            let template =
                { Type = ValueText.parseName TraceNames.packetTypes word
                  ConnectionId = 0us
                  Timestamp = 0u
                  TimestampDifference = 0u
                  Window = 0u
                  SeqNr = SeqNr 0us
                  AckNr = SeqNr 0us }

            Schema.header this template

    member private _.Raw() : Owned =
        let raw = Owned(read "raw" ValueText.parseHex)

        if raw.Length > 65535 then
            ValueText.bad "datagram of at most 65535 bytes" (ValueText.number (int64 raw.Length))

        raw

    /// The packet of the line.
    member this.Packet() : TracePacket =
        let line = lines[at]
        let parts = (find "i").Split('/', 3)

        if parts.Length <> 2 then ValueText.bad "place among several: i=k/n" (find "i")

        let isRaw = not (isNull (line.Find "raw"))
        let raw = if isRaw then this.Raw() else Owned.Empty

        let hasRanges = not isRaw && not (isNull (line.Find "ranges"))

        let sack =
            if isRaw then Owned.Empty
            elif hasRanges then Owned(read "ranges" ValueText.parseHex)
            elif isNull (line.Find "sack") then Owned.Empty
            else Owned(read "sack" ValueText.parseHex)

        if sack.Length > 252 || sack.Length % 4 <> 0 then
            ValueText.bad "selective acknowledgement of 4 to 252 bytes" (ValueText.hex sack.Span)

        if hasRanges && not (SackRanges.isValid sack.AsBorrowed) then
            ValueText.bad "selective acknowledgement of ranges" (ValueText.hex sack.Span)

        let packet =
            { Number = line.Number "p"
              Target =
                if isNull (line.Find "to") then
                    ValueNone
                else
                    ValueSome(this.Endpoint("to", Unchecked.defaultof<_>))
              Index = int (ValueText.within 1L 65536L parts[0])
              Count = int (ValueText.within 1L 65536L parts[1])
              IsRaw = isRaw
              Raw = raw
              Header = if isRaw then Unchecked.defaultof<Header> else this.Header()
              Sack = sack
              HasRanges = hasRanges
              Bits = if isRaw || isNull (line.Find "bits") then 0UL else read "bits" ValueText.parseBits
              Length = if isRaw then raw.Length else Schema.length this 0
              Payload = line.Find "pay"
              MayFragment = line.Has "frag=1" }

        if not isRaw then
            payloads.Check(packet.Payload, packet.Length)
            generate packet.Payload packet.Length

        packet

    override _.Begin _ = ()
    override _.Number(name, kind, _) = read name (ValueText.within kind.Least kind.Most)
    override _.Time(name, _) = read name ValueText.parseTime
    override _.Duration(name, _) = read name ValueText.parseDuration

    override _.Name(name, texts, _) =
        match Array.IndexOf(texts, find name) with
        | -1 -> ValueText.bad ("value of " + name + "=, which are " + String.Join(", ", texts)) (find name)
        | index -> index

    override _.Word _ = ()
    override _.Endpoint(name, _) = read name ValueText.parseEndpoint
    override _.Endpoints(name, _) = read name ValueText.parseEndpoints
    override _.OptionalEndpoint(name, _) = read name ValueText.parseOptionalEndpoint
    override _.Prediction(name, _) = read name ValueText.parsePrediction
    override _.Bytes(name, _) = Owned(read name ValueText.parseHex)
    override _.Datagram(name, _) = Borrowed(read name ValueText.parseHex)

    override _.Written _ =
        let length = int (read "len" (ValueText.within 0L (int64 Int32.MaxValue)))
        let pay = lines[at].Find "pay"
        // Unknown contents share one array.
        if not payloads.IsHash then generate pay length
        payloads.Read(pay, length)

    override this.Delivered _ =
        let bytes = this.Written Owned.Empty

        { Buffer = bytes.Array
          Offset = bytes.Offset
          Stride = bytes.Length
          Size = bytes.Length
          Length = bytes.Length }

    override _.Sent(_, _) = raise (FormatException "A pkt line is one packet of an effect.")

    /// The datagrams of the `pkt` lines behind a `recv` line, which is left behind them.
    override this.Received(_, _) =
        let run = RunFields.visit this Unchecked.defaultof<RunFields>
        let first = at
        let off = behind lines[at]

        match off with
        | ValueSome off when not (isNull buffer) ->
            if off < length then
                ValueText.bad "place behind the run before it" (ValueText.number (int64 off))

            start <- start + off
            length <- run.Length
        | _ ->
            length <- run.Length
            start <- 0
            buffer <- Array.zeroCreate<byte>(extent ())

        let mutable until = start

        if run.Count > lines.Length - at - 1 then
            raise (FormatException "There are fewer pkt lines than n=.")

        for index in 1 .. run.Count do
            at <- first + index

            if lines[at].Kind <> "pkt" then
                ValueText.bad "pkt line, of which the recv line before has more" lines[at].Kind

            let datagram = this.Packet().Encode payloads

            if
                datagram.Length > run.Segment
                || (datagram.Length < run.Segment && index < run.Count)
                || (datagram.Length = 0 && run.Count > 1)
            then
                raise (FormatException "Every datagram but the last has seg= bytes, and the last has at most as many.")

            if until + datagram.Length > start + run.Length then
                raise (FormatException "The datagrams have more than len= bytes together.")

            datagram.CopyTo(buffer, until)
            until <- until + datagram.Length

        if until < start + run.Length then
            raise (FormatException "The datagrams have fewer than len= bytes together.")

        struct (run.From, Datagrams(buffer, start, run.Length, run.Segment, run.At))
