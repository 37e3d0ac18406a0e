/// `Runner SEED RUNS`: hunts for a failure and says in one line of fields between tabs whether there was one. Which mutant this
/// process is, if any, the rewritten core reads from the environment.
module Runner.Program

open System

[<EntryPoint>]
let main args =
    let seed, runs = UInt64.Parse args[0], int args[1]
    let plain (text: string) = text.Replace('\t', ' ').ReplaceLineEndings " "

    try
        // Here `Campaign.run seed runs` goes; see Killer.fs.
        match Killer.run seed runs with
        | ValueSome failure -> printfn "killed\t%d\t%s\t%s" failure.Run failure.Property (plain failure.Why)
        | ValueNone -> printfn "clean\t%d" runs
    with e ->
        // What the hunter itself does not catch tells as much.
        printfn "killed\t0\texception\t%s" (plain e.Message)

    0
