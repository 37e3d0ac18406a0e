/// What hunts the mutants. TEMPORARY, until there is `UtpPunch.Sim.Campaign`: random conversations, and what `Conversation` checks
/// of them. To switch over, delete this file (and its line in the project) and let `Program.fs` call `Campaign.run` instead;
/// it reads `Run`, `Property` and `Why` of the failure and nothing else.
///
/// Mutants to come with what they need: 25 to 28 with hole punching, 102 ("no clock skew") with clocks that differ, 104 ("the NAT's
/// filter lets everything in") with NATs. 101 and 103 edit `Link.fs` and move to wherever loss and healing will stand.
module Runner.Killer

open UtpPunch.Protocol
open UtpPunch.Sim

type Failure = { Run: int; Seed: uint64; Property: string; Why: string }

let private conversation (seed: uint64) : Conversation =
    let below limit purpose = Keyed.below limit seed purpose 0L
    let oneOf (choices: 'T[]) purpose = choices[below choices.Length purpose]
    let sometimes share limit purpose = if below 100 purpose < share then below limit (purpose + 500) else 0

    let link purpose : Link =
        { Link.perfect with
            Delay = Time.milliseconds (oneOf [| 0; 1; 10; 50; 300 |] purpose)
            Jitter = Time.milliseconds (sometimes 33 60 (purpose + 1))
            Loss = sometimes 50 300 (purpose + 2)
            Duplication = sometimes 33 300 (purpose + 3)
            Rate = (if below 4 (purpose + 4) = 0 then 10_000 + below 1_000_000 (purpose + 5) else 0)
            CalmAt = Time.seconds 20 }

    let size purpose =
        match below 9 purpose with
        | 0 -> 0
        | 1
        | 2 -> 1 + below 3 (purpose + 1)
        | 3
        | 4 -> 1378 + below 5 (purpose + 1)
        | 5
        | 6
        | 7 -> below 20_000 (purpose + 1)
        | _ -> below 200_000 (purpose + 1)

    let fromA, fromB = size 10, size 20

    { Seed = seed
      Dialect = oneOf [| Dialect.Bep29; Dialect.Bep29; Dialect.UtpPunch |] 30
      FromA = fromA
      FromB = fromB
      WriteSize = max (if fromA + fromB > 20_000 then 100 else 1) (oneOf [| 1; 100; 1380; 1381; 10_000; 65_536 |] 31)
      LinkAB = link 100
      LinkBA = link 200
      NoDelay = (below 2 32 = 0)
      Batches = (below 2 33 = 0)
      ReceiveBuffer = oneOf [| 4_096; 65_536; 1 <<< 20 |] 34 }

let private failureOf run seed =
    let fail property why = ValueSome { Run = run; Seed = seed; Property = property; Why = why }

    try
        match (Conversation.run (Time.seconds 1200) (conversation seed)).Trouble with
        | [] -> ValueNone
        | trouble -> fail "conversation" (String.concat "; " trouble)
    with e ->
        fail "exception" e.Message

/// The first failure of so many runs.
let run (seed: uint64) (runs: int) : Failure voption =
    let mutable failure = ValueNone
    let mutable run = 0

    while failure.IsNone && run < runs do
        run <- run + 1
        failure <- failureOf run (Keyed.mix (seed + uint64 run))

    failure
