namespace UtpPunch.Tracing

open System
open UtpPunch.Protocol
open TraceWords

/// One datagram, as a `pkt` line has it.
[<NoComparison>]
type TracePacket =
    {
        /// Its number through its life; 0 when unknown.
        Number: int64
        /// Whom it goes to; none for one that came in.
        Target: Endpoint voption
        /// Its place, from 1, among so many that were received or sent together.
        Index: int
        Count: int
        /// The bytes. The payload is zeroes where the trace does not have it.
        Datagram: Owned
        /// What it decodes to, when that encodes to the same bytes; none for a `raw=` one.
        Packet: Packet voption
        /// What stands behind `pay=`; null when nothing does.
        Payload: string
    }

/// Whether a datagram is just what its fields encode to, so that a line can have them instead of the bytes.
module TraceDatagram =
    /// Where an extension of so many bytes, which stands at a place, ends; -1 when it is no multiple of `unit` bytes, is empty, or does
    /// not fit.
    let private behind (datagram: ReadOnlySpan<byte>) (place: int) (unit: int) : int =
        if datagram.Length < place + 2 then
            -1
        else
            let length = int datagram[place + 1]

            if length > 0 && length % unit = 0 && datagram.Length >= place + 2 + length then
                place + 2 + length
            else
                -1

    /// Where the extension bits that stand at a place end; -1 when they are not the last extension, or all zero.
    let private behindBits (datagram: ReadOnlySpan<byte>) (place: int) : int =
        let until = behind datagram place 8

        if
            until = place + 10
            && datagram[place] = 0uy
            && datagram.Slice(place + 2, 8).IndexOfAnyExcept 0uy >= 0
        then
            until
        else
            -1

    /// How many bytes stand before the payload: the header, a selective acknowledgement and extension bits, if they are the only
    /// extensions, in that order. -1 for anything else, of which a trace has the bytes.
    [<CompiledName "HeadLength">]
    let headLength (datagram: ReadOnlySpan<byte>) : int =
        if datagram.Length < Packet.HeaderLength || datagram[0] &&& 0x0Fuy <> 1uy || datagram[0] >>> 4 > 4uy then
            -1
        else
            match datagram[1] with
            | 0uy -> Packet.HeaderLength
            | 1uy ->
                let until = behind datagram Packet.HeaderLength 4

                if until < 0 || datagram[Packet.HeaderLength] = 0uy then until
                elif datagram[Packet.HeaderLength] = 2uy then behindBits datagram until
                else -1
            | 2uy -> behindBits datagram Packet.HeaderLength
            | _ -> -1

    let internal decode (datagram: Borrowed) : Packet voption =
        let mutable packet = Unchecked.defaultof<Packet>

        if headLength datagram.Span < 0 || Packet.decode datagram &packet <> Malformed.None then
            ValueNone
        else
            ValueSome packet

/// Lines of input as events.
module internal TraceReading =
    let find (line: TraceLine) key =
        match line.Find key with
        | null -> raise (FormatException("There is no " + key + "=."))
        | text -> text

    let limited (line: TraceLine) key least most = within least most (find line key)
    let conn (line: TraceLine) : ConnId = int (limited line "c" (int64 Int32.MinValue) (int64 Int32.MaxValue))
    let size (line: TraceLine) key = int (limited line key 0L (int64 Int32.MaxValue))
    let uint32Of line key = uint32 (limited line key 0L 0xFFFF_FFFFL)
    let uint16Of line key = uint16 (limited line key 0L 0xFFFFL)
    let remote (line: TraceLine) key = parseEndpoint (find line key)

    /// A FormatException that names the line, whatever was wrong with it.
    let naming (line: TraceLine) (read: unit -> 'T) =
        try
            read ()
        with :? FormatException as error ->
            raise (FormatException(error.Message + " Line: " + line.ToString(), error))

    let typeWord (line: TraceLine) =
        match Array.tryFind (fun (field: string) -> field.IndexOf '=' < 0) line.Fields with
        | Some word -> word
        | None -> raise (FormatException "There is neither a packet type nor raw=.")

    let datagram (payloads: TracePayloads) (line: TraceLine) : byte[] =
        match line.Find "raw" with
        | null ->
            let sack =
                match line.Find "sack" with
                | null -> Owned.Empty
                | text -> Owned(parseHex text)

            let bits =
                match line.Find "bits" with
                | null -> 0UL
                | text -> parseBits text

            if sack.Length > 252 || sack.Length % 4 <> 0 then
                bad "selective acknowledgement of 4 to 252 bytes" (hex sack.Span)

            let header =
                { Type = parsePacketType (typeWord line)
                  ConnectionId = uint16Of line "id"
                  Timestamp = uint32Of line "ts"
                  TimestampDifference = uint32Of line "td"
                  Window = uint32Of line "wnd"
                  SeqNr = SeqNr(uint16Of line "seq")
                  AckNr = SeqNr(uint16Of line "ack") }

            let length = int (limited line "len" 0L 65535L)
            let whole = Array.zeroCreate<byte>(Packet.lengthOf sack.Length bits length)
            let start = Packet.encode &header sack bits Owned.Empty (Span<byte> whole)
            payloads.Fill(line.Find "pay", Span<byte>(whole, start, length))
            whole
        | digits -> parseHex digits

    let position (line: TraceLine) =
        let parts = (find line "i").Split '/'

        if parts.Length <> 2 then bad "place among several: k/n" (find line "i")

        struct (int (within 1L 65536L parts[0]), int (within 1L 65536L parts[1]))

    let bytes (payloads: TracePayloads) (line: TraceLine) =
        let bytes = Array.zeroCreate<byte>(size line "len")
        payloads.Fill(line.Find "pay", Span<byte> bytes)
        Owned bytes

    /// What a `recv` line says of its buffer, less the buffer.
    [<NoComparison; NoEquality>]
    type Run =
        {
            Line: TraceLine
            From: Endpoint
            Datagrams: byte[][]
            Segment: int
            Length: int
            At: Instant
            /// How far behind the start of the run before it, in the same buffer.
            Behind: int voption
        }

    let run payloads (line: TraceLine) (packets: TraceLine[]) : Run =
        let datagrams = packets |> Array.map (fun packet -> naming packet (fun () -> datagram payloads packet))
        let segment = int (limited line "seg" 1L (int64 Int32.MaxValue))
        let length = size line "len"

        for index in 0 .. datagrams.Length - 1 do
            let isLast = index = datagrams.Length - 1

            if
                datagrams[index].Length > segment
                || (datagrams[index].Length < segment && not isLast)
                || (datagrams[index].Length = 0 && datagrams.Length > 1)
            then
                raise (FormatException "All datagrams but the last have seg= bytes, and that one has no more.")

        if Array.sumBy (fun (datagram: byte[]) -> datagram.Length) datagrams <> length then
            raise (FormatException "The datagrams have not len= bytes together.")

        { Line = line
          From = remote line "from"
          Datagrams = datagrams
          Segment = segment
          Length = length
          At = Time.microseconds (line.Number "at")
          Behind = if isNull (line.Find "off") then ValueNone else ValueSome(size line "off") }

    /// Runs that lay in one buffer get one again: the core joins what lies together.
    let joined (runs: Run[]) : Event[] =
        let starts = Array.zeroCreate runs.Length

        for index in 1 .. runs.Length - 1 do
            match runs[index].Behind with
            | ValueSome behind when behind < runs[index - 1].Length || behind > (1 <<< 24) ->
                naming runs[index].Line (fun () -> bad "place behind the run before it" (number (int64 behind)))
            | ValueSome behind -> starts[index] <- starts[index - 1] + behind
            | ValueNone -> ()

        let last = runs.Length - 1
        let buffer = Array.zeroCreate<byte>(starts[last] + runs[last].Length)

        runs
        |> Array.mapi (fun index run ->
            let mutable at = starts[index]

            for datagram in run.Datagrams do
                datagram.CopyTo(buffer, at)
                at <- at + datagram.Length

            Event.Received(run.From, Datagrams(buffer, starts[index], run.Length, run.Segment, run.At)))

    let private task (line: TraceLine) : TaskId = int (limited line "t" (int64 Int32.MinValue) (int64 Int32.MaxValue))
    let private isSet (line: TraceLine) key = limited line key 0L 1L = 1L

    let private plan (line: TraceLine) : MeetPlan =
        let hosts = find line "hosts"

        { Server = remote line "to"
          Room = Owned(parseHex (find line "room"))
          Hosts = (if hosts = "" then [||] else hosts.Split ',' |> Array.map parseEndpoint)
          Stays = isSet line "stays"
          Timeout = parseDuration (find line "timeout")
          PunchTimeout = parseDuration (find line "punch")
          Birthday = isSet line "birthday"
          PrimingHops = int (limited line "hops" 0L 255L) }

    let private endpoints (text: string) : Endpoint[] =
        if text = "" then [||] else text.Split ',' |> Array.map parseEndpoint

    let private discovery (line: TraceLine) : StunOptions =
        { Servers = endpoints (find line "servers")
          Local = (if find line "local" = "none" then ValueNone else ValueSome(remote line "local"))
          Timeout = parseDuration (find line "timeout")
          TestTimeout = parseDuration (find line "test")
          Behaviour = isSet line "behaviour" }

    let event payloads (line: TraceLine) =
        let timeout () = parseDuration (find line "timeout")

        match line.Kind with
        | "connect" -> Event.Connect(conn line, remote line "to", parseDialect (find line "dialect"), timeout ())
        | "listen" -> Event.Listen(int (limited line "backlog" (int64 Int32.MinValue) (int64 Int32.MaxValue)))
        | "unlisten" -> Event.Unlisten
        | "taken" -> Event.Taken(conn line)
        | "write" -> Event.Write(conn line, bytes payloads line)
        | "consumed" -> Event.Consumed(conn line, int (limited line "n" (int64 Int32.MinValue) (int64 Int32.MaxValue)))
        | "finish" -> Event.Finish(conn line)
        | "release" -> Event.Release(conn line, timeout ())
        | "abort" -> Event.Abort(conn line)
        | "idle" -> Event.SetIdleTimeout(conn line, parseDuration (find line "after"))
        | "unreachable" -> Event.Unreachable(remote line "to")
        | "toolong" -> Event.TooLong(remote line "to", size line "size", size line "limit")
        | "meet" -> Event.Meet(task line, plan line)
        | "punch" -> Event.PunchLegacy(task line, remote line "to", int (limited line "n" 0L (int64 Int32.MaxValue)))
        | "discover" -> Event.Discover(task line, discovery line)
        | "cancel" -> Event.Cancel(task line)
        | "pkt" -> raise (FormatException "There is no recv line that this datagram belongs to.")
        | kind -> bad "kind of event" kind
