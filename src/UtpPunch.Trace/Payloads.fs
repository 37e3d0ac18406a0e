namespace UtpPunch.Tracing

open System
open System.Collections.Generic
open UtpPunch.Protocol

[<Sealed; NoComparison; NoEquality>]
type TracePayloads private (name: string, keys: KeyValuePair<string, uint64>[], hash: Func<Bytes, uint64>) =
    let ofHash (value: uint64) = "#" + value.ToString "x16"

    let ofKeys (bytes: Bytes) =
        let mutable found: string = null

        for key in keys do
            if isNull found then
                let offset = Keyed.find key.Value bytes.Span

                if offset >= 0L then
                    found <- "~" + key.Key + ":" + Values.number offset + ":" + Values.number bytes.Length

        if isNull found then Values.hex bytes else found

    static let sampled = Func<Bytes, uint64>(fun payload -> Fingerprint.ofPayload payload.Span)

    static member val Full = TracePayloads("full", [||], null)
    static member val Hash = TracePayloads("hash", [||], sampled)
    static member val Digest = TracePayloads("digest", [||], Func<Bytes, uint64>(fun it -> Fingerprint.ofBytes it.Span))
    static member val internal Unknown = TracePayloads("hash", [||], null)
    static member Synth keys = TracePayloads("synth", keys, null)
    static member Hashed(next: Func<uint64>) = TracePayloads("hash", [||], fun _ -> next.Invoke())

    member _.Name = name
    member _.Keys = keys
    member _.IsHash = name = "hash"

    member this.OfPacket(payload: Bytes) : string =
        if payload.IsEmpty then null
        elif not (isNull hash) then ofHash (hash.Invoke payload)
        elif this.IsHash then null
        else ofKeys payload

    member this.OfBytes(bytes: Bytes) : string =
        if bytes.IsEmpty || this.IsHash then null
        elif not (isNull hash) then ofHash (hash.Invoke bytes)
        else ofKeys bytes

    /// The key and the offset of `~k0:1380:1380`.
    member private _.Place(text: string, length: int) : struct (uint64 * int64) =
        let parts = text.Substring(1).Split(':', 4)

        if parts.Length <> 3 then Values.bad "place in a stream: ~key:offset:length" text

        match Array.tryFindIndex (fun (key: KeyValuePair<string, uint64>) -> key.Key = parts[0]) keys with
        | Some index ->
            if Values.parseNumber parts[2] <> int64 length then
                Values.bad "payload of as many bytes as len= says" text

            struct (keys[index].Value, Values.within 0L (Int64.MaxValue - int64 Zeroes.Most) parts[1])
        | None -> Values.bad "stream that a #key line names" parts[0]

    member this.Check(text: string, length: int) : unit =
        if length > Zeroes.Most then
            Values.bad
                ("length of at most " + Values.number (int64 Zeroes.Most) + " bytes")
                (Values.number (int64 length))

        if isNull text then
            if length > 0 && not this.IsHash then
                raise (FormatException "There is no pay=, and len= is not 0.")
        elif text.StartsWith '#' then
            if not this.IsHash then
                Values.bad "payload: a hash stands for its bytes under #pay hash only" text
        elif text.StartsWith '~' then
            this.Place(text, length) |> ignore
        elif text.Length <> 2 * length then
            Values.bad "payload of as many bytes as len= says" text

    member this.Read(text: string, length: int) : Bytes =
        this.Check(text, length)

        if isNull text || text.StartsWith '#' then
            Zeroes.bytes length
        elif text.StartsWith '~' then
            let struct (key, offset) = this.Place(text, length)
            let bytes = Array.zeroCreate<byte> length
            Keyed.fill key offset (Span<byte> bytes)
            Bytes bytes
        else
            Bytes(Values.parseHex text)
