namespace UtpPunch.Tracing

open System
open System.Text
open UtpPunch.Protocol

/// Writes the parts of a state. Numbers take as many bytes as they need.
[<Sealed>]
type internal SnapshotWriter(keepsContents: bool) =
    let bytes = GrowingBytes 1024
    let mutable isInStream = false

    member _.ToArray() = bytes.Array.AsSpan(0, bytes.Length).ToArray()

    /// Bytes within a stream are its contents; every other one, such as the key of a punch, the node needs.
    member _.EnterStream() = isInStream <- true
    member _.LeaveStream() = isInStream <- false

    member _.Byte(value: byte) = bytes.Byte value
    member _.Flag(value: bool) = bytes.Byte(if value then 1uy else 0uy)
    member _.UInt16(value: uint16) = bytes.Number(uint64 value)
    member _.UInt32(value: uint32) = bytes.Number(uint64 value)
    member _.UInt64(value: uint64) = bytes.Number value
    member _.Int32(value: int) = bytes.Signed(int64 value)
    member _.Int64<[<Measure>] 'u>(value: int64<'u>) = bytes.Signed(int64 value)

    member _.Text(value: string) =
        let text = Encoding.UTF8.GetBytes value
        bytes.Number(uint64 text.Length)
        bytes.Add(ReadOnlySpan<byte> text)

    member _.Bytes(value: ReadOnlySpan<byte>) =
        bytes.Number(uint64 value.Length)
        if keepsContents || not isInStream then bytes.Add value

    member this.Option(write: 'T -> unit, value: 'T voption) =
        match value with
        | ValueSome it ->
            this.Byte 1uy
            write it
        | ValueNone -> this.Byte 0uy

    /// Null is another value than an object.
    member this.Reference(write: 'T -> unit, value: 'T) =
        if isNull (box value) then
            this.Byte 0uy
        else
            this.Byte 1uy
            write value

    member this.Array(write: 'T -> unit, items: 'T[]) =
        if isNull items then
            bytes.Number 0UL
        else
            bytes.Number(uint64 items.Length + 1UL)
            Array.iter write items

    member this.Deque(write: 'T -> unit, items: Deque<'T>) =
        bytes.Number(uint64 items.Count)

        for index in 0 .. items.Count - 1 do
            write items[index]

    member this.AppendList(write: 'T -> unit, items: AppendList<'T>) =
        bytes.Number(uint64 items.Count)

        for index in 0 .. items.Count - 1 do
            write items[index]

    member this.Radix(write: 'T -> unit, map: Radix<'T>) =
        bytes.Number(uint64 (Radix.count map))

        Radix.iterate
            (fun key value ->
                this.Int32 key
                write value)
            map

    member this.TimerQueue(queue: TimerQueue) =
        bytes.Number(uint64 (TimerQueue.count queue))
        let mutable rest = queue

        while TimerQueue.count rest > 0 do
            let struct (at, key, others) = TimerQueue.pop rest
            this.Int64 at
            this.Int32 key
            rest <- others

/// Reads the parts of a state from untrusted bytes. Every count is bounded by the bytes that are left, so what is
/// allocated is bounded by the length of the snapshot. Throws `FormatException`.
[<Sealed>]
type internal SnapshotReader(bytes: byte[]) =
    let mutable position = 0
    let mutable keepsContents = true
    let mutable isInStream = false

    let bad (what: string) = raise (FormatException("The snapshot is not one of this build: " + what + "."))

    member _.Fail(what: string) : 'T = bad what
    member _.IsAtEnd = position = bytes.Length
    member _.KeepContents(isKept: bool) = keepsContents <- isKept
    member _.EnterStream() = isInStream <- true
    member _.LeaveStream() = isInStream <- false

    member _.Byte() : byte =
        if position >= bytes.Length then bad "it ends too early"

        position <- position + 1
        bytes[position - 1]

    member this.UInt64() : uint64 =
        let mutable value = 0UL
        let mutable shift = 0
        let mutable part = this.Byte()

        while part >= 0x80uy && shift < 63 do
            value <- value ||| (uint64 (part &&& 0x7Fuy) <<< shift)
            shift <- shift + 7
            part <- this.Byte()

        value ||| (uint64 part <<< shift)

    member private this.Within(most: uint64, what: string) : uint64 =
        let value = this.UInt64()
        if value > most then bad ("a " + what + " is out of range")
        value

    member private this.Signed() : int64 =
        let value = this.UInt64()
        int64 (value >>> 1) ^^^ -(int64 (value &&& 1UL))

    member this.Flag() : bool = this.Within(1UL, "flag") = 1UL
    member this.UInt16() : uint16 = uint16 (this.Within(0xFFFFUL, "number of 16 bits"))
    member this.UInt32() : uint32 = uint32 (this.Within(0xFFFF_FFFFUL, "number of 32 bits"))

    member this.Int32() : int =
        let value = this.Signed()

        if value < int64 Int32.MinValue || value > int64 Int32.MaxValue then
            bad "a number of 32 bits is out of range"

        int value

    member this.Int64<[<Measure>] 'u>() : int64<'u> = LanguagePrimitives.Int64WithMeasure<'u>(this.Signed())

    /// How many items follow, each of at least `least` bytes.
    member private this.Count(least: int) : int =
        int (this.Within(uint64 ((bytes.Length - position) / max 1 least), "count"))

    member private _.Take(length: int) : byte[] =
        // The count itself has taken bytes of what was left.
        if length > bytes.Length - position then bad "a length reaches over the end"

        position <- position + length
        Array.sub bytes (position - length) length

    member this.Text() : string = Encoding.UTF8.GetString(this.Take(this.Count 1))

    member this.Bytes() : Owned =
        if keepsContents || not isInStream then
            let length = this.Count 1
            if length = 0 then Owned.Empty else Owned(this.Take length)
        else
            ZeroPayload.bytes (int (this.Within(uint64 ZeroPayload.Most, "length")))

    member this.Option(read: unit -> 'T) : 'T voption = if this.Flag() then ValueSome(read ()) else ValueNone

    member this.Reference(read: unit -> 'T) : 'T = if this.Flag() then read () else Unchecked.defaultof<'T>

    member this.Array(least: int, read: unit -> 'T) : 'T[] =
        match this.Within(uint64 ((bytes.Length - position) / max 1 least) + 1UL, "count") with
        | 0UL -> null
        | count -> Array.init (int count - 1) (fun _ -> read ())

    member this.Deque(least: int, read: unit -> 'T) : Deque<'T> =
        Deque<'T>(Array.init (this.Count least) (fun _ -> read ()))

    member this.AppendList(least: int, read: unit -> 'T) : AppendList<'T> =
        AppendList<'T>(Array.init (this.Count least) (fun _ -> read ()))

    member this.Radix(least: int, read: unit -> 'T) : Radix<'T> =
        let mutable map = Radix.empty<'T>

        for _ in 1 .. this.Count(least + 1) do
            let key = this.Int32()
            map <- Radix.add key (read ()) map

        map

    member this.TimerQueue() : TimerQueue =
        let mutable queue = TimerQueue.empty

        for _ in 1 .. this.Count 2 do
            let at = this.Int64()
            queue <- TimerQueue.add at (this.Int32()) queue

        queue
