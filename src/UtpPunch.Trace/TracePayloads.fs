namespace UtpPunch.Tracing

open System
open System.Collections.Generic
open UtpPunch.Protocol

[<Sealed; NoComparison; NoEquality>]
type TracePayloads private (name: string, keys: KeyValuePair<string, uint64>[], next: Func<uint64>) =
    let ofHash (value: uint64) = "#" + value.ToString "x16"

    let ofKeys (bytes: ReadOnlySpan<byte>) =
        let mutable found: string = null

        for key in keys do
            if isNull found then
                let offset = Keyed.find key.Value bytes

                if offset >= 0L then
                    found <- "~" + key.Key + ":" + TraceWords.number offset + ":" + TraceWords.number bytes.Length

        if isNull found then TraceWords.hex bytes else found

    static member val Full = TracePayloads("full", [||], null)
    static member val Hash = TracePayloads("hash", [||], null)
    static member val internal Unknown = TracePayloads("hash", [||], Func<uint64>(fun () -> 0UL))
    static member Synth keys = TracePayloads("synth", keys, null)
    static member Hashed next = TracePayloads("hash", [||], next)

    member _.Name = name
    member _.Keys = keys
    member _.IsHash = name = "hash"

    member this.OfPacket(payload: ReadOnlySpan<byte>) : string =
        if payload.IsEmpty || Object.ReferenceEquals(this, TracePayloads.Unknown) then null
        elif not this.IsHash then ofKeys payload
        elif isNull next then ofHash (Fingerprint.ofPayload payload)
        else ofHash (next.Invoke())

    member this.OfBytes(bytes: ReadOnlySpan<byte>) : string =
        if bytes.IsEmpty || this.IsHash then null else ofKeys bytes

    member private _.FillFromKey(text: string, target: Span<byte>) =
        let parts = text.Substring(1).Split ':'

        if parts.Length <> 3 then TraceWords.bad "place in a stream: ~key:offset:length" text

        match Array.tryFindIndex (fun (key: KeyValuePair<string, uint64>) -> key.Key = parts[0]) keys with
        | Some index ->
            if TraceWords.parseNumber parts[2] <> int64 target.Length then
                TraceWords.bad "payload as long as len= says" text

            Keyed.fill keys[index].Value (TraceWords.within 0L Int64.MaxValue parts[1]) target
        | None -> TraceWords.bad "stream that a #key line names" parts[0]

    member this.Fill(text: string, target: Span<byte>) =
        if isNull text then
            if target.Length > 0 && not this.IsHash then
                raise (FormatException "There is no pay=, and len= is not 0.")
        elif text.StartsWith '#' then
            if not this.IsHash then
                TraceWords.bad "payload: only under #pay hash may one stand for its bytes" text
        elif text.StartsWith '~' then
            this.FillFromKey(text, target)
        else
            let bytes = TraceWords.parseHex text

            if bytes.Length <> target.Length then TraceWords.bad "payload as long as len= says" text

            bytes.CopyTo target
