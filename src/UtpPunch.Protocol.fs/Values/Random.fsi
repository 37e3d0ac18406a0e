namespace UtpPunch.Protocol

/// A cryptographic counter-mode generator (ChaCha20, RFC 8439) as a value: ids, initial sequence numbers and nonces must not
/// be guessable, and must be the same when a trace is replayed.
[<Sealed>]
type Random =
    internal new: key: uint32[] * counter: uint64 -> Random
    /// The state, for snapshots.
    member internal Key: uint32[]
    member internal Counter: uint64

module Random =
    /// From a seed of 32 bytes, which the caller takes from the system's entropy.
    val create: seed: Owned -> Random

    /// 32 fresh bits, and the generator after them.
    val next: random: Random -> struct (uint32 * Random)

    /// `count` fresh words of 32 bits, each with its most significant byte first, and the generator after them.
    val words: count: int -> random: Random -> struct (Owned * Random)
