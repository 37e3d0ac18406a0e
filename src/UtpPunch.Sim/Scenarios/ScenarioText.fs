namespace UtpPunch.Sim

open System
open System.Collections
open System.Text
open Microsoft.FSharp.Reflection

/// Scenarios as text on one line, and back: `{Seed 7 A {Clock {Offset 0 …} …} …}`. Records are in braces with their fields by name,
/// cases with values in parentheses, lists in brackets; times are in microseconds.
module ScenarioText =
    let private isRecord (kind: Type) = FSharpType.IsRecord kind
    let private isList (kind: Type) = kind.IsGenericType && kind.GetGenericTypeDefinition() = typedefof<_ list>

    let rec private write (text: StringBuilder) (kind: Type) (value: obj) : unit =
        let add (part: string) = text.Append part |> ignore

        if kind = typeof<bool> then
            add (if unbox value then "yes" else "no")
        elif kind = typeof<string> then
            add (string value)
        elif kind.IsPrimitive then
            add (Convert.ToString(value, Globalization.CultureInfo.InvariantCulture))
        elif isRecord kind then
            add "{"

            FSharpType.GetRecordFields kind
            |> Array.iteri (fun index field ->
                add ((if index = 0 then "" else " ") + field.Name + " ")
                write text field.PropertyType (field.GetValue value))

            add "}"
        elif isList kind then
            add "["
            let inner = kind.GetGenericArguments()[0]

            value :?> IEnumerable
            |> Seq.cast<obj>
            |> Seq.iteri (fun index item ->
                if index > 0 then add " "

                write text inner item)

            add "]"
        elif FSharpType.IsTuple kind then
            add "("

            Array.zip (FSharpType.GetTupleElements kind) (FSharpValue.GetTupleFields value)
            |> Array.iteri (fun index (inner, item) ->
                if index > 0 then add " "

                write text inner item)

            add ")"
        else
            let case, fields = FSharpValue.GetUnionFields(value, kind)

            if fields.Length = 0 then
                add case.Name
            else
                add ("(" + case.Name)

                Array.zip (case.GetFields()) fields
                |> Array.iter (fun (field, item) ->
                    add " "
                    write text field.PropertyType item)

                add ")"

    let print (scenario: Scenario) =
        let text = StringBuilder()
        write text typeof<Scenario> scenario
        text.ToString()

    let private wordsOf (text: string) =
        let spaced = StringBuilder()

        for character in text do
            if "{}[]()".Contains character then
                spaced.Append(' ').Append(character).Append(' ') |> ignore
            else
                spaced.Append character |> ignore

        spaced.ToString().Split([| ' '; '\n'; '\r'; '\t' |], StringSplitOptions.RemoveEmptyEntries)

    /// Reads the words from an index on.
    [<Sealed>]
    type private Reader(words: string[]) =
        let mutable at = 0

        member _.Next() =
            if at >= words.Length then raise (FormatException "The scenario ends too early.")

            at <- at + 1
            words[at - 1]

        member _.Peek = if at < words.Length then words[at] else ""
        member _.IsOver = at = words.Length

        member this.Expect(word: string) =
            let found = this.Next()

            if found <> word then
                raise (FormatException $"'{word}' was expected, and '{found}' stands there.")

    let rec private read (reader: Reader) (kind: Type) : obj =
        if kind = typeof<bool> then
            box (reader.Next() = "yes")
        elif kind = typeof<string> then
            box (reader.Next())
        elif kind.IsPrimitive then
            let word = reader.Next()

            try
                Convert.ChangeType(word, kind, Globalization.CultureInfo.InvariantCulture)
            with _ ->
                raise (FormatException $"'{word}' is no {kind.Name}.")
        elif isRecord kind then
            reader.Expect "{"

            let values =
                FSharpType.GetRecordFields kind
                |> Array.map (fun field ->
                    // Scenarios are older than the choice.
                    if field.Name = "Congestion" && reader.Peek <> field.Name then
                        box "ledbat"
                    else
                        reader.Expect field.Name
                        read reader field.PropertyType)

            reader.Expect "}"
            FSharpValue.MakeRecord(kind, values)
        elif isList kind then
            reader.Expect "["
            let inner = kind.GetGenericArguments()[0]
            let items = ResizeArray<obj>()

            while reader.Peek <> "]" do
                items.Add(read reader inner)

            reader.Expect "]"
            let cases = FSharpType.GetUnionCases kind
            let mutable list = FSharpValue.MakeUnion(cases[0], [||])

            for index in items.Count - 1 .. -1 .. 0 do
                list <- FSharpValue.MakeUnion(cases[1], [| items[index]; list |])

            list
        elif FSharpType.IsTuple kind then
            reader.Expect "("
            let items = FSharpType.GetTupleElements kind |> Array.map (read reader)
            reader.Expect ")"
            FSharpValue.MakeTuple(items, kind)
        else
            let hasFields = reader.Peek = "("

            if hasFields then reader.Expect "("

            let name = reader.Next()

            match FSharpType.GetUnionCases kind |> Array.tryFind (fun case -> case.Name = name) with
            | None -> raise (FormatException $"'{name}' is no {kind.Name}.")
            | Some case ->
                let fields = case.GetFields() |> Array.map (fun field -> read reader field.PropertyType)

                if hasFields then reader.Expect ")"

                FSharpValue.MakeUnion(case, fields)

    /// Throws `FormatException` with the reason.
    let parse (text: string) : Scenario =
        let reader = Reader(wordsOf text)
        let scenario = read reader typeof<Scenario> :?> Scenario

        if not reader.IsOver then raise (FormatException $"'{reader.Peek}' follows the scenario.")

        scenario
