namespace UtpPunch.Tracing

open UtpPunch.Protocol

/// One line of a trace below its header; docs/utrace.md has the grammar.
[<Sealed; NoComparison>]
type TraceLine =
    /// `time` in microseconds; `fields` are bare words and `key=value`, escaped where values hold spaces.
    new: time: int64 * node: string * direction: string * kind: string * fields: string[] -> TraceLine

    /// Microseconds of the world's clock, or of the node's own for real sockets.
    member Time: int64
    /// The node's name; "." for the world.
    member Node: string
    /// "in", "out", "net" or "chk".
    member Direction: string
    member Kind: string
    member Fields: string[]

    /// The value of a key, without its escapes; null when it is not there.
    member Find: key: string -> string
    /// The whole number that a key has. Throws `FormatException`, naming the line, when there is none.
    member Number: key: string -> int64
    /// Whether a bare word is there.
    member Has: word: string -> bool

    /// The canonical text.
    override ToString: unit -> string

module TraceLine =
    /// `key=value` with what a value may not hold escaped.
    [<CompiledName "Field">]
    val field: key: string -> value: string -> string

    /// Reads a line. Throws `FormatException` that says what is wrong.
    [<CompiledName "Parse">]
    val parse: line: string -> TraceLine
