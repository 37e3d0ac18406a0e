namespace UtpPunch.Protocol

/// A 16-bit serial number (BEP 29's `seq_nr` and `ack_nr`), which wraps.
/// It has no order: `a < b` does not compile, since it means nothing on a circle. Name the origin instead: `a - b > 0`.
[<Struct; NoComparison>]
type SeqNr =
    new: value: uint16 -> SeqNr
    val Value: uint16
    /// The number `count` places further on (or back), wrapping.
    static member (+): SeqNr * int -> SeqNr
    /// The signed distance from the second to the first on the shorter way round, -32768 to 32767. Total.
    static member (-): SeqNr * SeqNr -> int
    override ToString: unit -> string
