namespace UtpPunch.Tracing

open System
open System.Collections.Generic
open UtpPunch.Protocol

/// What is written in place of contents.
[<RequireQualifiedAccess>]
type private Hashing =
    | None = 0
    | Sampled = 1
    | Whole = 2
    /// Of hashes that were taken before.
    | Known = 3
    /// Nothing.
    | Unknown = 4

[<Sealed; NoComparison; NoEquality>]
type TracePayloads private (name: string, keys: KeyValuePair<string, uint64>[], hashing: Hashing, next: Func<uint64>) =
    let ofKeys (bytes: ReadOnlySpan<byte>) =
        let mutable found: string = null

        for key in keys do
            if isNull found then
                let offset = Keyed.find key.Value bytes

                if offset >= 0L then
                    found <- "~" + key.Key + ":" + ValueText.number offset + ":" + ValueText.number bytes.Length

        if isNull found then ValueText.hex bytes else found

    let write (bytes: ReadOnlySpan<byte>) =
        let text (hash: uint64) = "#" + hash.ToString "x16"

        match hashing with
        | Hashing.None -> ofKeys bytes
        | Hashing.Sampled -> text (Fingerprint.ofPayload bytes)
        | Hashing.Whole -> text (Fingerprint.ofBytes bytes)
        | Hashing.Known -> text (next.Invoke())
        | _ -> null

    static member val Full = TracePayloads("full", [||], Hashing.None, null)
    static member val Hash = TracePayloads("hash", [||], Hashing.Sampled, null)
    static member val Digest = TracePayloads("digest", [||], Hashing.Whole, null)
    static member val internal Unknown = TracePayloads("hash", [||], Hashing.Unknown, null)
    static member Synth keys = TracePayloads("synth", keys, Hashing.None, null)
    static member Hashed(next: Func<uint64>) = TracePayloads("hash", [||], Hashing.Known, next)

    member _.Name = name
    member _.Keys = keys
    member _.IsHash = name = "hash"

    member _.OfPacket(payload: ReadOnlySpan<byte>) : string = if payload.IsEmpty then null else write payload

    member this.OfBytes(bytes: ReadOnlySpan<byte>) : string = if bytes.IsEmpty || this.IsHash then null else write bytes

    /// The key and the offset of `~k0:1380:1380`.
    member private _.Place(text: string, length: int) : struct (uint64 * int64) =
        let parts = text.Substring(1).Split(':', 4)

        if parts.Length <> 3 then ValueText.bad "place in a stream: ~key:offset:length" text

        match Array.tryFindIndex (fun (key: KeyValuePair<string, uint64>) -> key.Key = parts[0]) keys with
        | Some index ->
            if ValueText.parseNumber parts[2] <> int64 length then
                ValueText.bad "payload of as many bytes as len= says" text

            struct (keys[index].Value, ValueText.within 0L (Int64.MaxValue - int64 ZeroPayload.Most) parts[1])
        | None -> ValueText.bad "stream that a #key line names" parts[0]

    member this.Check(text: string, length: int) : unit =
        if length > ZeroPayload.Most then
            ValueText.bad
                ("length of at most " + ValueText.number (int64 ZeroPayload.Most) + " bytes")
                (ValueText.number (int64 length))

        if isNull text then
            if length > 0 && not this.IsHash then
                raise (FormatException "There is no pay=, and len= is not 0.")
        elif text.StartsWith '#' then
            if not this.IsHash then
                ValueText.bad "payload: a hash stands for its bytes under #pay hash only" text
        elif text.StartsWith '~' then
            this.Place(text, length) |> ignore
        elif text.Length <> 2 * length then
            ValueText.bad "payload of as many bytes as len= says" text

    member this.Read(text: string, length: int) : Owned =
        this.Check(text, length)

        if isNull text || text.StartsWith '#' then
            ZeroPayload.bytes length
        elif text.StartsWith '~' then
            let struct (key, offset) = this.Place(text, length)
            let bytes = Array.zeroCreate<byte> length
            Keyed.fill key offset (Span<byte> bytes)
            Owned bytes
        else
            Owned(ValueText.parseHex text)
