namespace UtpPunch.Protocol

open System
open System.Runtime.CompilerServices

module private BytesGuard =
    let reject (array: byte[]) : unit =
        if isNull array then
            nullArg (nameof array)
        else
            raise (ArgumentOutOfRangeException("length", "The slice lies outside its array."))

/// A slice of an array that nobody writes any more. Compares by content, so that events and effects that carry one compare too.
[<Struct; CustomEquality; NoComparison>]
type Bytes =
    val Array: byte[]
    val Offset: int
    val Length: int

    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    new(array: byte[], offset: int, length: int) =
        // One comparison; what exactly is wrong is found out where nobody is in a hurry.
        if isNull array || uint64 (uint32 offset) + uint64 (uint32 length) > uint64 array.Length then
            BytesGuard.reject array

        { Array = array; Offset = offset; Length = length }

    new(array: byte[]) = Bytes(array, 0, array.Length)

    static member Empty = Bytes(Array.Empty<byte>(), 0, 0)

    member this.IsEmpty = this.Length = 0
    member this.Span = ReadOnlySpan<byte>(this.Array, this.Offset, this.Length)
    member this.Slice(start: int, length: int) = Bytes(this.Array, this.Offset + start, length)
    member this.Skip(count: int) = this.Slice(count, this.Length - count)
    member this.Equals(other: Bytes) = this.Span.SequenceEqual other.Span

    override this.Equals(other: obj) =
        match other with
        | :? Bytes as other -> this.Equals other
        | _ -> false

    /// FNV-1a: the platform's own hashes differ from process to process, ours must not.
    override this.GetHashCode() =
        let mutable hash = 2166136261u

        for value in this.Span do
            hash <- (hash ^^^ uint32 value) * 16777619u

        int hash

    interface IEquatable<Bytes> with
        member this.Equals other = this.Equals other
