namespace UtpPunch.Tracing

/// A line that cannot be read: the message says why and quotes the line.
[<Sealed>]
type LineException =
    inherit System.FormatException
    internal new: line: string * message: string * index: int -> LineException
    internal new: line: string * message: string -> LineException
    /// The message without the line.
    member Reason: string
    /// The place of the line among those that were read together, from 0.
    member Index: int

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

    /// The value of a key, without its escapes; null when the line has no such key.
    member Find: key: string -> string
    /// The whole number that a key has. Throws `LineException` when there is none.
    member Number: key: string -> int64
    /// Whether the line has a bare word.
    member Has: word: string -> bool

    /// The canonical text.
    override ToString: unit -> string

module TraceLine =
    /// `key=value`, where spaces, line ends and percent signs of the value are escaped.
    [<CompiledName "Field">]
    val field: key: string -> value: string -> string

    /// Reads a line. Throws `LineException`.
    [<CompiledName "Parse">]
    val parse: line: string -> TraceLine
