/// `Runner SEED RUNS` searches for a failure twice, in the campaigns and in random scenarios alone, and writes a line of tab-separated
/// fields for each. The campaign of streams comes first; if it finds nothing, that of punches follows, then that of adversaries. The rewritten
/// core reads from the environment which mutant this process is, if any.
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
            // An exception that the campaign does not catch is a kill as well.
            printfn "killed\t0\texception\t%s" (plain e.Message)

    let first searches seed runs =
        searches
        |> List.fold
            (fun found search ->
                match found with
                | ValueSome failure -> ValueSome failure
                | ValueNone -> search seed runs)
            ValueNone

    hunt (first [ Campaign.run; PunchCampaign.run; AdversaryCampaign.run ])
    hunt (first [ Campaign.runRandom; PunchCampaign.runRandom; AdversaryCampaign.runRandom ])
    0
