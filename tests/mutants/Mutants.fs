/// Mutants are data. Each file `NUMBER-some-words.txt` describes one bug as edits of the sources: in this folder, a bug of the core
/// or of the simulator, which the simulator must find, or a test of UtpPunch.Protocol.Tests; in `net`, a bug of the shell, which a
/// test of UtpPunch.Net.Tests must find. This module reads the files, finds the places of the edits, and writes sources in which each edit is a switch at run time, so that
/// all mutants are compiled once. The sources themselves do not know of it. Loaded by build.fsx, compiled into the tests (`Tidy.fs`).
///
///     name: one line that describes the defect
///     killer: the properties of the simulation that ought to notice
///     test: instead, the claim of the test that must fail; there may be several such lines
///     precedent: who had this bug
///     over: optional; the transport over which a mutant of the shell can be seen, `linux` or `managed`, if not over both
///     note: optional; what a reader of the table ought to know
///
///     @ src/UtpPunch.Protocol.fs/Stream/Receive/Receiver.fs
///     - let bit = «held[index].SeqNr - this.AckNr - 2»
///     + held[index].SeqNr - this.AckNr - 1
///
/// Old text follows `- `, new text follows `+ `; of several old lines each is copied with its indentation. The old text occurs
/// exactly once in its file. Of it, the part in guillemets (or all of it, where there are none) is replaced: an expression, or whole
/// statements. In C#, text that ends in a semicolon or a brace is statements; a lone semicolon replaces them by nothing.
module Mutants

open System
open System.IO
open System.Text

/// One place of one file, and what stands there instead.
type Edit =
    {
        File: string
        Old: string
        /// The part of `Old` that is replaced.
        Start: int
        Length: int
        New: string list
    }

type Mutant =
    {
        Number: string
        Name: string
        /// Properties of the simulation, for readers of the table; or tests.
        Killers: string list
        IsForTests: bool
        Precedent: string
        Over: string
        Note: string
        Edits: Edit list
        IsOfShell: bool
    }

/// The errors of a description.
exception Invalid of string

let folder = "tests/mutants"
let private shellFolder = $"{folder}/net"

// ---- Reading ----

let private edit path (file: string) (old: string list) (fresh: string list) =
    let marked = String.concat "\n" old
    let opening, closing = marked.IndexOf '«', marked.IndexOf '»'
    let plain = marked.Replace("«", "").Replace("»", "")

    if old.IsEmpty || fresh.IsEmpty || (opening < 0) <> (closing < 0) || closing < opening then
        raise (Invalid $"{path}: an edit of {file} has no old text, no new text, or one guillemet.")

    let start, length =
        if opening < 0 then
            let start = plain.Length - plain.TrimStart().Length
            start, plain.TrimEnd().Length - start
        else
            opening, closing - opening - 1

    { File = file; Old = plain; Start = start; Length = length; New = fresh }

let private read isOfShell (path: string) =
    let name = Path.GetFileNameWithoutExtension path
    let lines = File.ReadAllLines path |> List.ofArray
    let body (line: string) = if line.Length > 2 then line.Substring 2 else ""

    let values (key: string) =
        lines
        |> List.choose (fun line -> if line.StartsWith $"{key}: " then Some(line.Substring(key.Length + 2)) else None)

    let tests = values "test"
    let value key = values key |> List.tryHead |> Option.defaultValue ""

    let rec edits lines =
        match lines with
        | [] -> []
        | (line: string) :: rest when line.StartsWith "@ " ->
            let old = rest |> List.takeWhile _.StartsWith('-')
            let fresh = rest |> List.skip old.Length |> List.takeWhile _.StartsWith('+')
            let rest = rest |> List.skip (old.Length + fresh.Length)
            edit name (body line) (List.map body old) (List.map body fresh) :: edits rest
        | _ :: rest -> edits rest

    let mutant =
        { Number = name.Substring(0, name.IndexOf '-').TrimStart '0'
          Name = value "name"
          Killers = if tests.IsEmpty then values "killer" else tests
          IsForTests = not tests.IsEmpty
          Precedent = value "precedent"
          Over = value "over"
          Note = value "note"
          Edits = edits lines
          IsOfShell = isOfShell }

    if mutant.Name = "" || mutant.Killers.IsEmpty || mutant.Precedent = "" || mutant.Edits.IsEmpty then
        raise (Invalid $"{name}: a mutant has a name, a killer or a test, a precedent and an edit.")

    mutant

/// All mutants of a tree, by number.
let readAll (root: string) =
    let mutants =
        [ for folder, isOfShell in [ folder, false; shellFolder, true ] do
              let files = Directory.GetFiles(Path.Combine(root, folder), "*-*.txt")
              yield! files |> Array.sortBy Path.GetFileName |> Array.map (read isOfShell) ]

    for number, same in List.groupBy _.Number mutants do
        if same.Length > 1 then
            raise (Invalid $"There are {same.Length} mutants with the number {number}.")

    mutants |> List.sortBy (fun it -> int (it.Number.TrimEnd([| 'a' .. 'z' |])), it.Number)

/// Those with one of these numbers, or one of these texts in their names; all of them for none.
let choose (names: string list) (mutants: Mutant list) =
    let isMeant (mutant: Mutant) (name: string) =
        if Char.IsDigit name[0] then
            mutant.Number = name
        else
            mutant.Name.Contains(name, StringComparison.OrdinalIgnoreCase)

    for name in names do
        if not (List.exists (fun mutant -> isMeant mutant name) mutants) then
            raise (Invalid $"No mutant has the number {name} or that in its name.")

    mutants |> List.filter (fun mutant -> names.IsEmpty || List.exists (isMeant mutant) names)

// ---- Finding the places ----

/// An edit of a mutant, found in its file.
type Place = { Number: string; Edit: Edit; From: int; Until: int }

let private occurrences (text: string) (part: string) =
    List.unfold
        (fun (from: int) ->
            match text.IndexOf(part, from, StringComparison.Ordinal) with
            | -1 -> None
            | at -> Some(at, at + 1))
        0

/// The places by file, and the errors: an old text that does not occur exactly once, or two edits that overlap without
/// replacing just the same.
let locate (root: string) (mutants: Mutant list) =
    let problems = ResizeArray<string>()
    let places = ResizeArray<Place>()

    for mutant in mutants do
        for edit in mutant.Edits do
            let path = Path.Combine(root, edit.File)
            let text = if File.Exists path then File.ReadAllText path else ""

            match occurrences text edit.Old with
            | [ at ] ->
                let from = at + edit.Start
                places.Add { Number = mutant.Number; Edit = edit; From = from; Until = from + edit.Length }
            | found ->
                problems.Add
                    $"Mutant {mutant.Number} ({mutant.Name}): in {edit.File} this stands {found.Length} times, not once:\n{edit.Old}"

    let byFile = places |> Seq.sortBy _.From |> Seq.groupBy _.Edit.File |> List.ofSeq

    for file, places in byFile do
        for before, after in Seq.pairwise places do
            if after.From < before.Until && (after.From, after.Until) <> (before.From, before.Until) then
                problems.Add $"Mutants {before.Number} and {after.Number} overlap in {file}:\n{after.Edit.Old}"

    byFile, List.ofSeq problems

// ---- Rewriting ----

// "11a" as a number. It does not depend on what other mutants there are, so that a new one leaves the files of the others alone.
let private codeOf (number: string) =
    let digits = number.TrimEnd([| 'a' .. 'z' |])
    32 * int digits + (if digits = number then 0 else int number[number.Length - 1] - int 'a' + 1)

let private condition (place: Place) = $"UtpPunch.Protocol.Mutation.isActive({codeOf place.Number})"

let private indentOf (line: string) = line.Length - line.TrimStart().Length

/// New text at a column, whatever its own indentation.
let private placedAt column (lines: string list) =
    let least = lines |> List.filter (fun line -> line.Trim() <> "") |> List.map indentOf |> List.min

    [ for line in lines -> if line.Trim() = "" then "" else String(' ', column) + line.Substring least ]
    |> String.concat "\n"

/// `(if active then NEW else OLD)` for all edits of one place. Over several lines everything keeps its shape, further right.
let private switchInFSharp column (old: string) (places: Place list) =
    if not (old.Contains '\n') && places |> List.forall (fun place -> place.Edit.New.Length = 1) then
        let branches = [ for place in places -> $"if {condition place} then ({place.Edit.New.Head.Trim()})" ]

        let branches = String.concat " el" branches
        $"({branches} else ({old}))"
    else
        let indent = String(' ', column + 1)

        let branches =
            [ for place in places -> $"if {condition place} then\n{placedAt (column + 4) place.Edit.New}\n{indent}" ]

        let branches = String.concat "el" branches
        let old = old.Replace("\n", "\n    ").Replace("\n    \n", "\n\n")
        $"({branches}else\n{indent}   {old})"

/// `(active ? NEW : OLD)` for an expression, `if (active) { NEW } else { OLD }` for statements.
let private switchInCSharp (old: string) (places: Place list) =
    let areStatements = old.EndsWith ';' || old.EndsWith '}'

    let branches =
        [ for place in places do
              let fresh = String.concat "\n" place.Edit.New

              if areStatements then
                  $"if ({condition place}) {{ {fresh} }} else "
              else
                  $"{condition place} ? ({fresh}) : " ]

    let branches = String.concat "" branches
    if areStatements then $"{branches}{{ {old} }}" else $"({branches}({old}))"

let private switch (text: string) (places: Place list) =
    let first = places.Head
    let old = text.Substring(first.From, first.Until - first.From)

    if first.Edit.File.EndsWith ".cs" then
        switchInCSharp old places
    else
        let column = first.From - (text.LastIndexOf('\n', max 0 (first.From - 1)) + 1)
        switchInFSharp column old places

/// A source with a switch at each of its places.
let rewrite (text: string) (places: Place seq) =
    let result = StringBuilder()
    let mutable at = 0

    for _, same in places |> Seq.groupBy (fun place -> place.From, place.Until) do
        let same = List.ofSeq same
        result.Append(text, at, same.Head.From - at).Append(switch text same) |> ignore
        at <- same.Head.Until

    result.Append(text, at, text.Length - at).ToString()

/// The number of the mutant that a process is, from the environment.
let variable = "UTPPUNCH_MUTANT"

/// The file that is compiled first in the rewritten core. The rewritten shell asks it as well.
let switches =
    $"""/// Written by build.fsx. Which mutant this process is.
module UtpPunch.Protocol.Mutation

let private active =
    match System.Environment.GetEnvironmentVariable "{variable}" with
    | null
    | "" -> -1
    | number ->
        let digits = number.TrimEnd([| 'a' .. 'z' |])
        32 * int digits + (if digits = number then 0 else int number[number.Length - 1] - int 'a' + 1)

let isActive (code: int) = code = active
"""
