/// Writes the part of UtpPunch.Trace that turns a node into bytes and back, from the types of the core: `dotnet fsi build.fsx snapshot`.
/// A test compares the file with what this gives for the assembly that is tested, so that a changed state cannot be forgotten. The generated code names every
/// field, so that the compiler checks it; nothing is looked up at run time.
///
/// States are trees: a type that contains itself is refused, and so is every type that has no form here.
module SnapshotGenerator

open System
open System.Collections.Generic
open System.Reflection
open Microsoft.FSharp.Reflection

/// Where the generated file is.
let file = "src/UtpPunch.Trace/Snapshots/Snapshot.Generated.fs"

exception Unsupported of string

let private all = BindingFlags.Instance ||| BindingFlags.Public ||| BindingFlags.NonPublic

/// A field, or a constructor's parameter: how to get it, its type, and its label in a record.
[<NoComparison>]
type private Part = { Label: string; Type: Type }

[<NoComparison>]
type private Shape =
    | Record of Part list
    | Class of Part list
    | Union of (string * Part list) list
    | Interface of Type list
    | Wrapper of Type * string * string
    /// Always the same between steps.
    | Empty

let private isOption (kind: Type) = kind.IsGenericType && kind.GetGenericTypeDefinition() = typedefof<ValueOption<_>>

let private isTuple (kind: Type) = kind.FullName.StartsWith("System.ValueTuple`", StringComparison.Ordinal)

let private isGeneric (name: string) (kind: Type) =
    kind.IsGenericType && kind.Name.StartsWith(name + "`", StringComparison.Ordinal)

/// Types that `SnapshotWriter` and `SnapshotReader` have members for.
let private primitives =
    dict
        [ "Boolean", "Flag"
          "Byte", "Byte"
          "UInt16", "UInt16"
          "UInt32", "UInt32"
          "UInt64", "UInt64"
          "Int32", "Int32"
          "Int64", "Int64"
          "String", "Text"
          "TimerQueue", "TimerQueue" ]

let private isBytes (kind: Type) = kind.Name = "Bytes" || kind.Name = "Owned"

/// Structs that hold something within a step only.
let private transient = set [ "PayloadBuilder" ]

let private shapeOf (kind: Type) : Shape =
    if transient.Contains kind.Name then
        Empty
    elif kind.Name = "Stored" then
        let hidden = (kind.GetFields all |> Array.exactlyOne).FieldType
        Wrapper(hidden, "Connection.own it.Generation it", "Connection.store")
    elif kind.Name = "CongestionControl" then
        Wrapper(typeof<string>, "it.Name", "CongestionControls.named")
    elif FSharpType.IsUnion(kind, all) then
        Union
            [ for case in FSharpType.GetUnionCases(kind, all) do
                  let parts = [ for field in case.GetFields() -> { Label = field.Name; Type = field.PropertyType } ]
                  yield case.Name, parts ]
    elif FSharpType.IsRecord(kind, all) then
        Record
            [ for field in FSharpType.GetRecordFields(kind, all) -> { Label = field.Name; Type = field.PropertyType } ]
    elif kind.IsInterface then
        Interface
            [ for other in kind.Assembly.GetTypes() |> Array.sortBy _.Name do
                  if other.IsClass && not other.IsAbstract && kind.IsAssignableFrom other then other ]
    else
        // A class, or a struct, is what its longest constructor takes; a property gives each parameter back.
        let constructors = kind.GetConstructors all |> Array.sortByDescending _.GetParameters().Length

        let partOf (parameter: ParameterInfo) =
            let isSame (it: PropertyInfo) = String.Equals(it.Name, parameter.Name, StringComparison.OrdinalIgnoreCase)

            match Array.tryFind isSame (kind.GetProperties all) with
            | Some property -> { Label = property.Name; Type = property.PropertyType }
            | None ->
                raise (
                    Unsupported $"{kind.Name} has no property for the parameter {parameter.Name} of its constructor."
                )

        match Array.tryHead constructors with
        | Some constructor' -> Class [ for parameter in constructor'.GetParameters() -> partOf parameter ]
        | None -> raise (Unsupported $"{kind.Name} is neither a record, a union, an interface nor a class.")

let private isNullable (kind: Type) =
    kind.GetCustomAttributes false
    |> Array.exists (fun it ->
        match it with
        | :? AllowNullLiteralAttribute as attribute -> attribute.Value
        | _ -> false)

type private Generator(root: Type) =
    let functions = ResizeArray<string>()
    let done' = HashSet<string>()
    let path = Stack<string>()
    let layout = ResizeArray<string>()

    /// The name of a type within the names of its functions.
    let nameOf (kind: Type) = kind.Name

    /// Statements that write a value.
    member this.Write (kind: Type) (value: string) : string =
        if primitives.ContainsKey kind.Name then
            $"w.{primitives[kind.Name]} {value}"
        elif kind = typeof<unit> then
            "()"
        elif isBytes kind then
            $"w.Bytes {value}.Span"
        elif kind.IsArray then
            $"w.Array({this.Writer(kind.GetElementType())}, {value})"
        elif isOption kind then
            $"w.Option({this.Writer(kind.GetGenericArguments()[0])}, {value})"
        elif isGeneric "Deque" kind then
            $"w.Deque({this.Writer(kind.GetGenericArguments()[0])}, {value})"
        elif isGeneric "AppendList" kind then
            $"w.AppendList({this.Writer(kind.GetGenericArguments()[0])}, {value})"
        elif isGeneric "Radix" kind then
            $"w.Radix({this.Writer(kind.GetGenericArguments()[0])}, {value})"
        elif isTuple kind then
            $"{this.Writer kind} {value}"
        else
            this.Define kind

            if isNullable kind then
                $"w.Reference(write{nameOf kind} w, {value})"
            else
                $"write{nameOf kind} w {value}"

    /// A function that writes values of a type.
    member this.Writer(kind: Type) : string =
        if primitives.ContainsKey kind.Name then
            $"w.{primitives[kind.Name]}"
        elif kind = typeof<unit> then
            "ignore"
        elif isTuple kind then
            let parts = kind.GetGenericArguments()
            let names = [ for index in 1 .. parts.Length -> $"part{index}" ]
            let writes = [ for name, part in Seq.zip names parts -> this.Write part name ]
            let pattern = String.Join(", ", names)
            $"""(fun (struct ({pattern})) -> {String.Join("; ", writes)})"""
        elif isBytes kind then
            $"""(fun (it: {kind.Name}) -> {this.Write kind "it"})"""
        elif kind.IsArray || kind.IsGenericType || isNullable kind then
            $"""(fun it -> {this.Write kind "it"})"""
        else
            this.Define kind
            $"(write{nameOf kind} w)"

    member this.Read(kind: Type) : string =
        let item () = this.Reader(kind.GetGenericArguments()[0])
        let least () = this.Least(kind.GetGenericArguments()[0])

        if primitives.ContainsKey kind.Name then
            $"r.{primitives[kind.Name]}()"
        elif kind = typeof<unit> then
            "()"
        elif isBytes kind then
            "r.Bytes()"
        elif kind.IsArray then
            let element = kind.GetElementType()
            $"r.Array({this.Least element}, {this.Reader element})"
        elif isOption kind then
            $"r.Option({item ()})"
        elif isGeneric "Deque" kind then
            $"r.Deque({least ()}, {item ()})"
        elif isGeneric "AppendList" kind then
            $"r.AppendList({least ()}, {item ()})"
        elif isGeneric "Radix" kind then
            $"r.Radix({least ()}, {item ()})"
        elif isTuple kind then
            let parts = [ for part in kind.GetGenericArguments() -> this.Read part ]
            $"""struct ({String.Join(", ", parts)})"""
        else
            this.Define kind

            if isNullable kind then
                $"r.Reference(fun () -> read{nameOf kind} r)"
            else
                $"read{nameOf kind} r"

    member this.Reader(kind: Type) : string = $"(fun () -> {this.Read kind})"

    /// The fewest bytes that a value takes.
    member this.Least(kind: Type) : int =
        let sum (parts: Part list) = List.sumBy (fun part -> this.Least part.Type) parts

        if kind = typeof<unit> then
            0
        elif isTuple kind then
            kind.GetGenericArguments() |> Array.sumBy this.Least
        elif primitives.ContainsKey kind.Name || isBytes kind || kind.IsArray || kind.IsGenericType then
            1
        elif isNullable kind then
            1
        else
            match shapeOf kind with
            | Record parts
            | Class parts -> sum parts
            | Union cases -> 1 + List.min [ for _, parts in cases -> sum parts ]
            | Interface kinds -> 1 + List.min [ for it in kinds -> this.Least it ]
            | Wrapper(inner, _, _) -> this.Least inner
            | Empty -> 0

    /// Adds the functions of a type, behind those of the types that it contains.
    member private this.Define(kind: Type) : unit =
        let name = nameOf kind

        if path.Contains name then raise (Unsupported $"{name} contains itself.")

        if not (done'.Contains name) then
            if kind.Assembly <> root.Assembly || kind.IsEnum then
                raise (Unsupported $"{kind.FullName} has no form in a snapshot.")

            path.Push name
            let lines = this.Functions(kind, name)
            path.Pop() |> ignore
            done'.Add name |> ignore
            functions.AddRange lines
            functions.Add ""

    member private this.Functions(kind: Type, name: string) : string list =
        // A type within a module has that one's name before its own.
        let path =
            if isNull kind.DeclaringType then
                name
            else
                kind.DeclaringType.Name.Replace("Module", "") + "." + name

        let writeHead = $"let write{name} (w: SnapshotWriter) (it: {path}) : unit ="
        let readHead = $"let read{name} (r: SnapshotReader) : {path} ="

        let describe (parts: Part list) = String.Join(";", [ for part in parts -> $"{part.Label}:{part.Type}" ])

        let enter, leave =
            if name = "Connection" then
                [ "    $.EnterStream()" ], [ "    $.LeaveStream()" ]
            else
                [], []

        let at (reader: string) (lines: string list) = [ for line in lines -> line.Replace("$", reader) ]

        let writes (parts: Part list) =
            match parts with
            | [] -> [ "    ()" ]
            | _ -> [ for part in parts -> "    " + this.Write part.Type ("it." + part.Label) ]

        let reads (parts: Part list) =
            [ for part in parts -> "    let field" + part.Label + " = " + this.Read part.Type ]

        match shapeOf kind with
        | Empty ->
            layout.Add $"{name}"
            [ writeHead; "    ignore w"; "    ignore it"; ""; readHead; "    ignore r"; $"    {name}()" ]
        | Wrapper(inner, unwrap, wrap) ->
            let write = this.Write inner ("(" + unwrap + ")")
            layout.Add $"{name} {inner}"
            [ writeHead; $"    {write}"; ""; readHead; $"    {wrap} ({this.Read inner})" ]
        | Record parts ->
            layout.Add $"{name} {describe parts}"

            let open', close =
                (if enter.IsEmpty then
                     "    ", ""
                 else
                     $"    let value: {name} = ", "\n    r.LeaveStream()\n    value")

            let labels =
                [ for index, part in List.indexed parts do
                      let before = if index = 0 then open' + "{ " else String(' ', open'.Length + 2)
                      let after = if index = parts.Length - 1 then " }" + close else ""
                      before + part.Label + " = " + this.Read part.Type + after ]

            [ writeHead ]
            @ at "w" enter
            @ writes parts
            @ at "w" leave
            @ [ ""; readHead ]
            @ at "r" enter
            @ labels
        | Class parts ->
            layout.Add $"{name} {describe parts}"
            let arguments = String.Join(", ", [ for part in parts -> $"field{part.Label}" ])
            [ writeHead ] @ writes parts @ [ ""; readHead ] @ reads parts @ [ $"    {name}({arguments})" ]
        | Union cases ->
            let text = String.Join("|", [ for case, parts in cases -> $"{case} {describe parts}" ])
            layout.Add $"{name} {text}"

            let write (index: int) (case: string, parts: Part list) =
                let names = [ for part in parts -> $"case{part.Label}" ]
                let pattern = if names.IsEmpty then "" else $"""({String.Join(", ", names)})"""
                let body = [ for part in parts -> "        " + this.Write part.Type ("case" + part.Label) ]

                if body.IsEmpty then
                    [ $"    | {name}.{case} -> w.Byte {index}uy" ]
                else
                    [ $"    | {name}.{case}{pattern} ->"; $"        w.Byte {index}uy" ] @ body

            let read (index: int) (case: string, parts: Part list) =
                let names = [ for part in parts -> $"case{part.Label}" ]
                let body = [ for part in parts -> "        let case" + part.Label + " = " + this.Read part.Type ]
                let arguments = if names.IsEmpty then "" else $"""({String.Join(", ", names)})"""

                if body.IsEmpty then
                    [ $"    | {index}uy -> {name}.{case}" ]
                else
                    [ $"    | {index}uy ->" ] @ body @ [ $"        {name}.{case}{arguments}" ]

            [ writeHead; "    match it with" ]
            @ List.concat (List.mapi write cases)
            @ [ ""; readHead; "    match r.Byte() with" ]
            @ List.concat (List.mapi read cases)
            @ [ $"    | _ -> r.Fail \"there is no such {name}\"" ]
        | Interface kinds ->
            let names =
                [ for it in kinds ->
                      this.Define it
                      nameOf it ]

            layout.Add $"""{name} {String.Join("|", names)}"""

            [ writeHead; "    match it with" ]
            @ [ for index, it in List.indexed names do
                    $"    | :? {it} as it ->"
                    $"        w.Byte {index}uy"
                    $"        write{it} w it" ]
            // One of the application's own has no form here: a trace with it can be read, but not replayed from that state on.
            @ [ "    | _ -> w.Byte 255uy"; ""; readHead; "    match r.Byte() with" ]
            @ [ for index, it in List.indexed names -> $"    | {index}uy -> read{it} r :> {name}" ]
            @ [ $"    | 255uy -> r.Fail \"there is an {name} of the application's own, which is not in the trace\"" ]
            @ [ $"    | _ -> r.Fail \"there is no such {name}\"" ]

    member this.Text() : string =
        this.Write root "it" |> ignore
        // FNV-1a over all types and their fields.
        let mutable hash = 0xCBF29CE484222325UL

        for letter in String.Join("\n", layout) do
            hash <- (hash ^^^ uint64 letter) * 0x100000001B3UL

        let head =
            [ "// Written by `dotnet fsi build.fsx snapshot` from the types of the core; a test compares it with them."
              "/// The state of a node as bytes and back, field by field."
              "module internal UtpPunch.Tracing.SnapshotGenerated"
              ""
              "open UtpPunch.Protocol"
              ""
              "/// Tells builds apart: a hash of all types and fields below."
              "[<Literal>]"
              $"let Layout = 0x{hash:X16}UL"
              "" ]

        String.Join("\n", head) + "\n" + String.Join("\n", functions).TrimEnd() + "\n"

/// The text of the file for a core.
let generate (core: Assembly) : string = Generator(core.GetType("UtpPunch.Protocol.Node", true)).Text()
