/// Adversaries of each position against nodes.
module UtpPunch.Sim.Tests.AdversaryTests

open System.Collections.Generic
open Expecto
open UtpPunch.Protocol
open UtpPunch.Tracing
open UtpPunch.Sim

/// The rules that the runs of a position must reach (M5).
let private mustReach =
    dict
        [ "off-path",
          [ Rule.SynCookieSent
            Rule.AckOutOfRange
            Rule.SeqOutOfRange
            Rule.HalfOpenExpired
            Rule.UnknownConnection
            Rule.ResetSuppressed
            Rule.PathShrunk ]
          "on-path",
          [ Rule.TimestampOutOfRange
            Rule.Duplicate
            Rule.RepeatedSyn
            Rule.SeqOutOfRange
            Rule.ResetOutOfRange
            Rule.ResetAccepted ]
          "operator", []
          "peer",
          [ Rule.AckOutOfRange
            Rule.OutOfOrder
            Rule.SeqOutOfRange
            Rule.BeyondFin
            Rule.Duplicate
            Rule.SynCookieSent
            Rule.DataAfterRelease
            Rule.WindowProbe ] ]

/// A position's runs, the number of moves, and the rules that fired.
let private play runs name (one: uint64 -> Play) =
    test $"{runs} runs of an adversary, {name}, keep every property" {
        let reached = HashSet<Rule>()
        let mutable moves = 0L

        for index in 1..runs do
            let seed = Keyed.mix (uint64 index)

            let run () =
                let it = one seed
                moves <- moves + int64 it.Moves
                reached.UnionWith it.Rules

            match ScriptedCases.check run with
            | ValueSome(struct (property, why)) -> failtest $"seed {seed}: {property}: {why}"
            | ValueNone -> ()

        printfn $"adversary, {name}: {runs} runs, {moves} moves"

        let names = reached |> Seq.map TraceNames.rules.Name |> Seq.sort |> String.concat ", "
        printfn $"adversary, {name}: reached {names}"

        for rule in mustReach[name] do
            Expect.isTrue (reached.Contains rule) $"{name} reaches {TraceNames.rules.Name rule}"
    }

let tests =
    testList
        "adversaries"
        [ for struct (name, one) in AdversaryCampaign.positions do
              play 100 name one

          test "M1: the same adversary twice gives the same packets at the same times" {
              for struct (name, one) in AdversaryCampaign.positions do
                  Expect.equal (one 5UL).Hash (one 5UL).Hash name
          } ]
