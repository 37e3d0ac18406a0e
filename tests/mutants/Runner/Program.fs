/// `Runner SEED RUNS`: hunts for a failure, once with all of a campaign and once with drawn scenarios alone, and says in a line of
/// fields between tabs each whether there was one. Which mutant this process is, if any, the rewritten core reads from the
/// environment.
/// Streams come first; where they are clean, as many encounters of peers that punch follow.
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

    let both streams punches seed runs =
        match streams seed runs with
        | ValueSome failure -> ValueSome failure
        | ValueNone -> punches seed runs

    hunt (both Campaign.run PunchCampaign.run)
    hunt (both Campaign.runRandom PunchCampaign.runRandom)
    0
