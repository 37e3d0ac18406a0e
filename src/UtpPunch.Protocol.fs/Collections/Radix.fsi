namespace UtpPunch.Protocol

/// A persistent map from `int`: a 16-way trie on the key's bits, the lowest after twelve others, each level as wide as it is filled.
/// Its order of iteration depends on its keys alone, so it may reach an effect.
[<Sealed>]
type internal Radix<'T>

module internal Radix =
    val empty<'T> : Radix<'T>
    val count: map: Radix<'T> -> int
    val tryFind: key: int -> map: Radix<'T> -> 'T voption
    val add: key: int -> value: 'T -> map: Radix<'T> -> Radix<'T>
    val remove: key: int -> map: Radix<'T> -> Radix<'T>
    val iterate: action: (int -> 'T -> unit) -> map: Radix<'T> -> unit
