namespace UtpPunch.Tracing

open System
open System.Text

module private Columns =
    let escape (value: string) =
        if value.IndexOfAny([| ' '; '%'; '\n'; '\r' |]) < 0 then
            value
        else
            value.Replace("%", "%25").Replace(" ", "%20").Replace("\n", "%0A").Replace("\r", "%0D")

    let unescape (value: string) =
        if value.IndexOf '%' < 0 then
            value
        else
            value.Replace("%20", " ").Replace("%0A", "\n").Replace("%0D", "\r").Replace("%25", "%")

    /// Seconds with six decimals, in twelve columns.
    let time (microseconds: int64) =
        let whole = (abs microseconds / 1_000_000L).ToString()
        let rest = (abs microseconds % 1_000_000L).ToString().PadLeft(6, '0')
        ((if microseconds < 0L then "-" else "") + whole + "." + rest).PadLeft 12

    /// The limits are those of every time in a trace.
    let tryTime (text: string) =
        let point = text.IndexOf '.'
        let negative = text.StartsWith '-'

        if point < 1 || text.Length <> point + 7 then
            ValueNone
        else
            match Int64.TryParse(text.Remove(point, 1)) with
            | true, value when
                (negative = (value < 0L) || value = 0L) && abs (max value -Int64.MaxValue) <= ValueText.MostTime
                ->
                ValueSome value
            | _ -> ValueNone

open Columns

/// A line that cannot be read: the message says why and quotes the line.
[<Sealed>]
type LineException(line: string, message: string, index: int) =
    inherit FormatException(message + " Line: " + ValueText.quote line)
    new(line, message) = LineException(line, message, 0)
    member _.Reason = message
    member _.Index = index

[<Sealed; NoComparison>]
type TraceLine(time: int64, node: string, direction: string, kind: string, fields: string[]) =
    member _.Time = time
    member _.Node = node
    member _.Direction = direction
    member _.Kind = kind
    member _.Fields = fields

    member _.Find(key: string) : string =
        let mutable found: string = null

        for field in fields do
            if
                isNull found
                && field.Length > key.Length
                && field[key.Length] = '='
                && field.StartsWith(key, StringComparison.Ordinal)
            then
                found <- unescape (field.Substring(key.Length + 1))

        found

    member this.Number(key: string) : int64 =
        match this.Find key with
        | null -> raise (LineException(this.ToString(), "There is no " + key + "=."))
        | text ->
            match Int64.TryParse text with
            | true, value -> value
            | _ -> raise (LineException(this.ToString(), key + "=" + ValueText.quote text + " is not a whole number."))

    member _.Has(word: string) = Array.IndexOf(fields, word) >= 0

    override _.ToString() =
        let text = StringBuilder(64)
        text.Append(Columns.time time).Append(' ').Append(node).Append(' ') |> ignore
        text.Append(direction.PadRight 3).Append(' ') |> ignore

        if fields.Length = 0 then
            text.Append kind |> ignore
        else
            text.Append(kind.PadRight 9) |> ignore

            for field in fields do
                text.Append(' ').Append(field) |> ignore

        text.ToString()

module TraceLine =
    [<CompiledName "Field">]
    let field (key: string) (value: string) = key + "=" + escape value

    [<CompiledName "Parse">]
    let parse (line: string) =
        let words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries)

        if words.Length < 4 then
            raise (LineException(line, "A line has a time, a node, a direction and a kind."))

        let time =
            match tryTime words[0] with
            | ValueSome time -> time
            | ValueNone -> raise (LineException(line, "The time is not in seconds with six decimals."))

        match words[2] with
        | "in"
        | "out"
        | "net"
        | "chk" -> ()
        | _ -> raise (LineException(line, "The direction is not in, out, net or chk."))

        TraceLine(time, words[1], words[2], words[3], Array.sub words 4 (words.Length - 4))
