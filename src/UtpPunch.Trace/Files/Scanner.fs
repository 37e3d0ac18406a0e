namespace UtpPunch.Tracing

open System
open System.Collections.Generic
open System.IO
open System.Text

/// The lines of a text, none of which is longer than a trace allows.
module internal TraceLines =
    /// Characters of a line: contents of 8 MiB in hexadecimal digits, and its other fields.
    [<Literal>]
    let Most = 16778240

    let fail number = raise (TraceException(number, "The line is longer than 16 Mi characters."))

    /// Lines end with a line feed, which a carriage return may precede.
    let ofReader (reader: TextReader) : string seq =
        seq {
            let buffer = Array.zeroCreate<char> 16384
            let line = StringBuilder()
            let mutable number = 1
            let mutable count = reader.Read(buffer, 0, buffer.Length)

            while count > 0 do
                let mutable start = 0

                while start < count do
                    let until = Array.IndexOf(buffer, '\n', start, count - start)
                    line.Append(buffer, start, (if until < 0 then count else until) - start) |> ignore

                    if line.Length > Most then fail number

                    if until < 0 then
                        start <- count
                    else
                        number <- number + 1
                        yield line.ToString().TrimEnd '\r'
                        line.Clear() |> ignore
                        start <- until + 1

                count <- reader.Read(buffer, 0, buffer.Length)

            if line.Length > 0 then yield line.ToString().TrimEnd '\r'
        }

/// Reads a trace line by line. Throws `TraceException`. With `checksEnd`, `#end` must count right and be last.
[<Sealed; NoComparison; NoEquality>]
type TraceScanner(lines: IEnumerable<string>, checksEnd: bool) =
    let source = lines.GetEnumerator()
    let header = TraceHeader()
    let mutable number = 0
    let mutable characters = 0L
    let mutable hash = 0UL
    let mutable isComplete = false
    let mutable line = Unchecked.defaultof<TraceLine>

    let fail message = raise (TraceException(number, message))

    let finish (text: string) =
        let expected = "#end lines=" + ValueText.number (int64 number - 1L) + " hash=" + hash.ToString "x16"

        if checksEnd && text.Trim() <> expected then
            fail ("The text has changed since it was written; it should end with: " + expected)

        isComplete <- true

    /// Takes a line; true for one below the header.
    let take (text: string) : bool =
        if isComplete && checksEnd then
            if text.Trim() <> "" then fail "There is more behind #end."
            false
        elif text.StartsWith("#end", StringComparison.Ordinal) && header.HasBegun then
            finish text
            false
        else
            if checksEnd then hash <- Fingerprint.andLine text hash

            if text.StartsWith '#' then
                header.Add(text, number)
                false
            elif not header.HasBegun then
                fail ("The text is not a trace: it does not begin with #utrace " + ValueText.Version + ".")
            elif text = "" then
                false
            else
                line <- TraceLine.parse text
                true

    new(reader: TextReader, checksEnd: bool) = TraceScanner(TraceLines.ofReader reader, checksEnd)

    /// The header as far as it was read.
    member _.Header = header
    /// The line that was read last, and its place in the text, from 1.
    member _.Line = line
    member _.LineNumber = number
    /// The characters of all lines read.
    member _.Characters = characters
    /// Whether `#end` was read.
    member _.IsComplete = isComplete

    /// Reads the next line below the header; false at the end of the text.
    member _.Read() : bool =
        let mutable found = false

        while not found && source.MoveNext() do
            let text = source.Current
            number <- number + 1
            characters <- characters + int64 text.Length

            if text.Length > TraceLines.Most then TraceLines.fail number

            try
                found <- take text
            with
            | :? TraceException -> reraise ()
            | :? LineException as error -> raise (TraceException(number, error.Reason, error))
            | :? FormatException as error -> raise (TraceException(number, error.Message, error))

        if not found && not header.HasBegun then
            number <- max 1 number
            fail ("The text is not a trace: it does not begin with #utrace " + ValueText.Version + ".")

        found
