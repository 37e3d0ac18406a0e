namespace UtpPunch.Protocol

open System
open System.Runtime.CompilerServices

module private Slice =
    let reject (array: byte[]) : unit =
        if isNull array then
            nullArg (nameof array)
        else
            raise (ArgumentOutOfRangeException("length", "The slice lies outside its array."))

    /// One comparison on the fast path; which argument is wrong is found out on the slow one.
    let inline check (array: byte[]) (offset: int) (length: int) =
        if isNull array || uint64 (uint32 offset) + uint64 (uint32 length) > uint64 array.Length then
            reject array

    /// FNV-1a. The hashes of .NET are seeded per process; these are the same in every run.
    let fnv1a (bytes: ReadOnlySpan<byte>) =
        let mutable hash = 2166136261u

        for value in bytes do
            hash <- (hash ^^^ uint32 value) * 16777619u

        int hash

/// Bytes that belong to the core: it allocated them, or copied them, or was given them. A state may keep them. Compares by content, as
/// events and effects that carry bytes do.
///
/// `Event.Write` gives the core the written array, and the acknowledgement gives it back: from the write on, until `Effect.Writable` or
/// `Effect.Closed` says that the bytes were acknowledged or dropped, they must not be changed. Everything else that is `Owned` is
/// never changed.
[<Struct; CustomEquality; NoComparison>]
type Owned =
    val Array: byte[]
    val Offset: int
    val Length: int

    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    new(array: byte[], offset: int, length: int) =
        Slice.check array offset length
        { Array = array; Offset = offset; Length = length }

    new(array: byte[]) = Owned(array, 0, array.Length)

    static member Empty = Owned(Array.Empty<byte>(), 0, 0)

    member this.IsEmpty = this.Length = 0
    member this.Span = ReadOnlySpan<byte>(this.Array, this.Offset, this.Length)
    member this.Slice(start: int, length: int) = Owned(this.Array, this.Offset + start, length)
    member this.Skip(count: int) = this.Slice(count, this.Length - count)

    /// For a function that only reads: what is owned may be used as what is borrowed, never the other way round.
    member this.AsBorrowed = Borrowed(this.Array, this.Offset, this.Length)

    member this.Equals(other: Owned) = this.Span.SequenceEqual other.Span
    member this.Equals(other: Borrowed) = this.Span.SequenceEqual other.Span

    override this.Equals(other: obj) =
        match other with
        | :? Owned as other -> this.Equals other
        | _ -> false

    override this.GetHashCode() = Slice.fnv1a this.Span

    interface IEquatable<Owned> with
        member this.Equals other = this.Equals other

/// Bytes of an input that the core may read during one step and must not keep: a datagram in a buffer into which the shell receives the
/// next one. `Borrowed.keep` is the one way to keep them. Compares by content.
and [<Struct; CustomEquality; NoComparison>] Borrowed =
    val Array: byte[]
    val Offset: int
    val Length: int

    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    new(array: byte[], offset: int, length: int) =
        Slice.check array offset length
        { Array = array; Offset = offset; Length = length }

    new(array: byte[]) = Borrowed(array, 0, array.Length)

    static member Empty = Borrowed(Array.Empty<byte>(), 0, 0)

    member this.IsEmpty = this.Length = 0
    member this.Span = ReadOnlySpan<byte>(this.Array, this.Offset, this.Length)
    member this.Slice(start: int, length: int) = Borrowed(this.Array, this.Offset + start, length)
    member this.Skip(count: int) = this.Slice(count, this.Length - count)

    member this.Equals(other: Borrowed) = this.Span.SequenceEqual other.Span
    member this.Equals(other: Owned) = this.Span.SequenceEqual other.Span

    override this.Equals(other: obj) =
        match other with
        | :? Borrowed as other -> this.Equals other
        | _ -> false

    override this.GetHashCode() = Slice.fnv1a this.Span

    interface IEquatable<Borrowed> with
        member this.Equals other = this.Equals other

module Borrowed =
    /// Copies the bytes. What is borrowed becomes owned here and nowhere else.
    let keep (bytes: Borrowed) = Owned(bytes.Span.ToArray())
