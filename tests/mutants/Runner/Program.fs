/// `Runner SEED RUNS`: hunts for a failure, once with all of a campaign and once with drawn scenarios alone, and says in a line of
/// fields between tabs each whether there was one. Which mutant this process is, if any, the rewritten core reads from the
/// environment.
///
/// Mutants to come with what they need: 25 to 28 with hole punching, 104 ("the NAT's filter lets everything in") with NATs.
module Runner.Program

open System
open UtpPunch.Sim

[<EntryPoint>]
let main args =
    let seed, runs = UInt64.Parse args[0], int args[1]
    let plain (text: string) = text.Replace('\t', ' ').ReplaceLineEndings " "

    let hunt search =
        try
            match search seed runs with
            | ValueSome failure -> printfn "killed\t%d\t%s\t%s" (failure.Run + 1) failure.Property (plain failure.Why)
            | ValueNone -> printfn "clean\t%d" runs
        with e ->
            // What the hunter itself does not catch tells as much.
            printfn "killed\t0\texception\t%s" (plain e.Message)

    hunt Campaign.run
    hunt Campaign.runRandom
    0
