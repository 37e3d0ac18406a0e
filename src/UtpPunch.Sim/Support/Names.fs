namespace UtpPunch.Sim

open System.Collections.Generic
open Microsoft.FSharp.Reflection
open UtpPunch.Protocol

/// The names of cases, looked up once: a union's own `ToString` takes as long as a dozen steps of the core.
module Names =
    let private table<'case when 'case: equality> () =
        let names = Dictionary<'case, string>(HashIdentity.Structural)

        for case in FSharpType.GetUnionCases typeof<'case> do
            names[FSharpValue.MakeUnion(case, [||]) :?> 'case] <- case.Name

        names

    let private rules = table<Rule>()
    let private reasons = table<CloseReason>()

    let rule (rule: Rule) = rules[rule]
    let reason (reason: CloseReason) = reasons[reason]
