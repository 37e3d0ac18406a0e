namespace UtpPunch.Tracing

open System
open UtpPunch.Protocol

/// What a `recv` line has besides `off`.
[<Struct; NoComparison; NoEquality>]
type internal RunFields = { From: Endpoint; At: Instant; Count: int; Segment: int; Length: int }

module internal RunFields =
    let private count = NumberKind("count", 1L, 65536L)
    // No buffer is longer than 1 MiB, and a segment no longer than its buffer: `Datagrams` adds both.
    let private segment = NumberKind("bytes", 1L, 1L <<< 20)
    let private length = NumberKind("bytes", 0L, 1L <<< 20)

    let visit (f: Fields) (it: RunFields) : RunFields =
        { From = f.Endpoint("from", it.From)
          At = f.Time("at", it.At)
          Count = int (f.Number("n", count, int64 it.Count))
          Segment = int (f.Number("seg", segment, int64 it.Segment))
          Length = int (f.Number("len", length, int64 it.Length)) }

/// Writes what `Schema` visits as lines. `numbers` gives `p` for one datagram after the other; null stands for zeroes.
[<Sealed>]
type internal LineWriter(payloads: TracePayloads, numbers: Func<int64>, time: int64, node: string, direction: string) =
    inherit Fields()
    let lines = ResizeArray<TraceLine>()
    let fields = ResizeArray<string>()
    let mutable word: string = null
    /// The run before, when nothing was written since: the core joins datagrams that are adjacent in one buffer.
    let mutable previous = Unchecked.defaultof<Datagrams>

    let add (key: string) (value: string) = fields.Add(key + "=" + value)

    let pay (text: string) = if not (isNull text) then add "pay" text

    let flush () =
        if not (isNull word) then
            lines.Add(TraceLine(time, node, direction, word, fields.ToArray()))
            fields.Clear()
            word <- null

    let start next =
        flush ()
        word <- next

    /// A line for one datagram of several begins.
    let packet (place: string) (target: string) =
        start "pkt"
        add "p" (if isNull numbers then "0" else ValueText.number (numbers.Invoke()))

        if not (isNull target) then add "to" target

        add "i" place

    let position index count = ValueText.number (int64 index + 1L) + "/" + ValueText.number (int64 count)

    member _.Lines =
        flush ()
        lines.ToArray()

    /// A line that is neither an event nor an effect.
    member _.Line(kind: string) = start kind

    member private this.Fields
        (header: inref<Header>, sack: ReadOnlySpan<byte>, hasRanges: bool, bits: uint64, payload: ReadOnlySpan<byte>)
        =
        fields.Add(TraceNames.packetTypes.Name header.Type)
        Schema.header this header |> ignore
        Schema.length this payload.Length |> ignore

        if not sack.IsEmpty then add (if hasRanges then "ranges" else "sack") (ValueText.hex sack)

        if bits <> 0UL then add "bits" (ValueText.bits bits)

        pay (payloads.OfPacket payload)

    override _.Begin kind =
        start kind.Word

        if not (Object.ReferenceEquals(kind, Kinds.received)) then
            previous <- Unchecked.defaultof<Datagrams>

    override _.Number(name, _, value) =
        add name (ValueText.number value)
        value

    override _.Time(name, value) =
        add name (ValueText.number (int64 value))
        value

    override _.Duration(name, value) =
        add name (ValueText.duration value)
        value

    override _.Name(name, texts, index) =
        add name texts[index]
        index

    override _.Word word = fields.Add word

    override _.Endpoint(name, value) =
        add name (ValueText.endpoint value)
        value

    override _.Endpoints(name, value) =
        add name (ValueText.endpoints value)
        value

    override _.OptionalEndpoint(name, value) =
        add name (ValueText.optionalEndpoint value)
        value

    override _.Prediction(name, value) =
        add name (ValueText.prediction value)
        value

    override _.Bytes(name, value) =
        add name (ValueText.hex value.Span)
        value

    override _.Datagram(name, value) =
        add name (ValueText.hex value.Span)
        value

    override _.Written value =
        add "len" (ValueText.number (int64 value.Length))
        pay (payloads.OfBytes value.Span)
        value

    override this.Delivered value =
        let flat = Array.zeroCreate<byte> value.Length
        // Contents that are not written are not copied either.
        if not payloads.IsHash then value.CopyTo(0, Span<byte> flat) |> ignore
        this.Written(Owned flat) |> ignore
        value

    override this.Received(from, datagrams) =
        let before = previous
        previous <- datagrams

        RunFields.visit
            this
            { From = from
              At = datagrams.ArrivedAt
              Count = datagrams.Count
              Segment = datagrams.SegmentSize
              Length = datagrams.Length }
        |> ignore

        if not (isNull (box before)) && Object.ReferenceEquals(before.Buffer, datagrams.Buffer) then
            let behind = datagrams.Offset - before.Offset
            if behind >= before.Length then add "off" (ValueText.number (int64 behind))

        for index in 0 .. datagrams.Count - 1 do
            let datagram = datagrams[index]
            packet (position index datagrams.Count) null

            match TraceDatagram.decode datagram with
            | ValueSome it ->
                let header = it.Header
                this.Fields(&header, it.Sack.Span, it.HasRanges, it.Bits, it.Payload.Span)
            | ValueNone -> add "raw" (ValueText.hex datagram.Span)

        struct (from, datagrams)

    override this.Sent(remote, train) =
        // The line that has begun is replaced by those of the packets.
        word <- null
        let target = ValueText.endpoint remote

        for index in 0 .. train.Count - 1 do
            packet (position index train.Count) target

            if train.Code.IsEmpty then
                let header = { train.Header with SeqNr = train.Header.SeqNr + index }
                this.Fields(&header, train.Sack.Span, train.HasRanges, train.Bits, (train.Piece index).Span)
            else
                let whole = Array.zeroCreate<byte>(train.LengthOf index)
                train.Write(index, Span<byte> whole) |> ignore
                add "raw" (ValueText.hex (ReadOnlySpan<byte> whole))

            if train.MayFragment then fields.Add "frag=1"

        struct (remote, train)
