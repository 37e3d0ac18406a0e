module Samples.Program

open System.IO
open Samples
open UtpPunch.Protocol
open UtpPunch.Sim

let private expect claim isTrue =
    if not isTrue then failwith $"Not so: {claim}"
    printfn $"{claim}"

[<EntryPoint>]
let main _ =
    let text = String.replicate 10_000 "hello "
    expect "the core transfers text over sockets" (BareNode.transfer text (Time.seconds 20) = text)

    expect "stop-and-wait delivers everything over a lossy path" (OwnWorld.findViolation OwnWorld.lossy 200 = ValueNone)

    // One bit does not tell an old datagram from a new one: datagrams must not overtake each other.
    match OwnWorld.findViolation OwnWorld.reordering 200 with
    | ValueSome seed ->
        expect
            $"reordering breaks it, first with seed {seed}"
            (OwnWorld.findViolation OwnWorld.reordering (int seed) = ValueSome seed)
    | ValueNone -> failwith "Reordering should break it."

    expect "what arrives of a stream is a prefix of what was written" (OwnProperty.check 1UL = ValueNone)
    expect "20 random worlds violate no property" (OwnProperty.campaign 1UL 20 = ValueNone)
    let share = OwnController.utilisation OwnController.control
    expect "the controller uses 80 % to 100 % of its path" (share > 0.8 && share <= 1.0)
    let file = Path.GetTempFileName()

    try
        Replays.record file (Swarm.scenario 7UL)
        expect "a recorded world replays" (isNull (Replays.difference file))
    finally
        File.Delete file

    0
