namespace UtpPunch.Fuzz

open System
open System.IO
open System.Text

/// An input is a list of chunks, each of which a target reads as one operation, one datagram or one line. Mutations can then insert,
/// remove and repeat whole operations.
type Input = byte[][]

/// Files of inputs: remarks begin with `#`; each other line is a chunk, `= ` and text, or `x ` and hexadecimal digits.
module Input =
    let length (input: Input) = Array.sumBy Array.length input

    let hash (input: Input) : uint64 =
        input
        |> Array.fold (fun sum chunk -> (sum ^^^ Hashing.ofBytes (ReadOnlySpan chunk)) * 31UL + 1UL) 7UL

    let private isPlain (chunk: byte[]) =
        chunk.Length > 0 && chunk |> Array.forall (fun value -> value >= 0x20uy && value < 0x7Fuy)

    let private print (chunk: byte[]) =
        if isPlain chunk then
            "= " + Encoding.ASCII.GetString chunk
        else
            "x " + Convert.ToHexStringLower chunk

    let private parse (line: string) : byte[] =
        if line.StartsWith "= " then
            Encoding.ASCII.GetBytes(line.Substring 2)
        else
            Convert.FromHexString((line.Substring 1).Trim())

    let toText (remark: string) (input: Input) : string =
        let lines = Array.append [| "# " + remark.ReplaceLineEndings " " |] (Array.map print input)
        String.Join("\n", lines) + "\n"

    let ofText (text: string) : Input =
        text.Split '\n'
        |> Array.filter (fun line -> line <> "" && not (line.StartsWith '#'))
        |> Array.map parse

    let ofFile (file: string) : Input = ofText (File.ReadAllText file)

    [<Literal>]
    let private Separator = "---\n"

    /// Several inputs in one text.
    let toTexts (inputs: Input seq) : string =
        String.Join(
            Separator,
            inputs
            |> Seq.map (fun input -> String.Join("", input |> Array.map (fun chunk -> print chunk + "\n")))
        )

    let ofTexts (text: string) : Input list = ("\n" + text).Split("\n" + Separator) |> Array.map ofText |> List.ofArray

    /// The target that the first line of a file names: `# NAME: what`.
    let targetOf (file: string) : string =
        use reader = new StreamReader(file)
        let first = reader.ReadLine()
        if isNull first then "" else first.TrimStart('#', ' ').Split(':')[0]
