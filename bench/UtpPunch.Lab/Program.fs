// The congestion lab on the command line: `run` shows one run, and `campaign` judges many.

module UtpPunch.Lab.Program

open System
open UtpPunch.Lab

[<EntryPoint>]
let main arguments =
    Threading.Thread.CurrentThread.CurrentCulture <- Globalization.CultureInfo.InvariantCulture

    try
        match List.ofArray arguments with
        | "run" :: rest -> Single.run rest
        | "campaign" :: rest -> Campaign.run rest
        | _ ->
            printfn $"{Single.usage.Trim()}\n\n{Campaign.usage.Trim()}"
            0
    with Arguments.Mistake why ->
        eprintfn $"{why}"
        2
