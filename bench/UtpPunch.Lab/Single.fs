/// One run, with a line for each second.
module UtpPunch.Lab.Single

open System.Diagnostics
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Sim.Congestion
open UtpPunch.Lab.Arguments

let usage =
    """
dotnet fsi build.fsx congestion run [PATH] [OPTIONS]

  PATH               r1, r2, r3, r4 or r5 of docs/congestion.md: presets for the options. Or a scenario: C10, or its third
                     variant, C10:3. Of the options, it takes --controller, --seed, --step, --quiet and, for a grid, --case N
  --delay MS         one-way delay
  --rate MBIT        rate of the bottleneck, in Mbit/s
  --queue KB         queue of the bottleneck, in kB
  --loss PERCENT     random loss before the bottleneck, in steps of 0.1
  --seconds N        virtual time; default 10
  --longer MS        what the path becomes longer by, after 8 s, one way
  --flows N          flows; default 1
  --controller NAME  of all flows, or one for each, separated by commas; default ledbat;
                     reno, cubic-model and bbr-model are models of other stacks
  --start S,S,...    when the flows start, in seconds
  --access MS,MS,... what the flows' own links add to the delay each way
  --seed N           default 1
  --step MS          time between the lines; default 1000
  --quiet            no lines, only the result
"""

let private known =
    [ "--delay"
      "--rate"
      "--queue"
      "--loss"
      "--seconds"
      "--longer"
      "--flows"
      "--controller"
      "--start"
      "--access"
      "--seed"
      "--step"
      "--case" ]

/// Delay in ms, rate in Mbit/s, queue in kB and loss in percent.
let private presets =
    Map
        [ "r1", (25.0, 100.0, 625.0, 0.0)
          "r2", (25.0, 100.0, 625.0, 1.0)
          "r3", (50.0, 20.0, 250.0, 0.0)
          "r4", (100.0, 50.0, 1250.0, 2.0)
          "r5", (100.0, 1000.0, 25000.0, 0.0) ]

let private ms (value: float) = Time.microseconds (int64 (value * 1000.0))
let private inMs (duration: Duration) = float duration / 1000.0
let private mbit (bits: float) = bits / 1e6

let private line (result: LabResult) (from: Instant) (until: Instant) =
    for index in 0 .. result.Flows.Length - 1 do
        let flow = result.Flows[index]
        let waits = Measure.waits result (fun other -> other = index) from until

        let state =
            match flow.Beliefs[Measure.indexOf until - 1] with
            | ValueSome it ->
                $"window %8.1f{float it.Window / 1000.0} flight %8.1f{float it.Flight / 1000.0} kB  rtt %6.1f{inMs it.RoundTrip} believed %5.1f{inMs it.Queueing} ms  pacing %7.2f{float it.PacingRate * 8e-6} {it.Phase}  retransmitted %d{it.Retransmissions} rto %d{it.Timeouts}"
            | ValueNone -> "-"

        printfn
            $"%6.1f{inMs until / 1000.0} s  {flow.Plan.Name, -10} %7.2f{mbit (Measure.goodput flow from until)} Mbit/s  queue p50 %6.1f{inMs (Measure.percentile 50 waits)} p95 %6.1f{inMs (Measure.percentile 95 waits)} ms  {state}"

/// Plays flows, and prints a line for each of them and each step of time, and the result.
let private play (it: Arguments) bottleneck flows (duration: Duration) : LabResult =
    let seed = uint64 (number "--seed" 1.0 it)
    let started = Stopwatch.GetTimestamp()
    let result = Lab.run bottleneck flows duration seed
    let took = Stopwatch.GetElapsedTime(started).TotalSeconds

    if not (has "--quiet" it) then
        let step = ms (number "--step" 1000.0 it) / Measure.bucket * Measure.bucket |> max Measure.bucket
        let mutable from = 0L<us>

        while from + step <= duration do
            line result from (from + step)
            from <- from + step

    for flow in result.Flows do
        let from = flow.Plan.From
        let end' = min duration flow.Plan.Until

        printfn
            $"{flow.Plan.Name}: %.2f{mbit (Measure.goodput flow from end')} Mbit/s; dropped %.2f{100.0 * Measure.dropped flow from end'} %%, lost in all %.2f{100.0 * Measure.lost flow from end'} %%; retransmitted %d{Measure.retransmissions flow}, time-outs %d{Measure.timeouts flow}, most at once %d{Measure.burst flow from end'}, acknowledgements %.1f{100.0 * Measure.ackShare flow from end'} %% of the bytes"

        if not (isNull flow.Failure) then printfn $"{flow.Plan.Name}: ended by {flow.Failure}"

    let all = [ 0 .. result.Flows.Length - 1 ]
    let together = result.Flows |> Array.map _.Plan.From |> Array.max

    printfn
        $"utilisation %.1f{100.0 * Measure.utilisation result 0L<us> duration} %%; queue p50 %.1f{inMs (Measure.queueing result 50 0L<us> duration)} ms, p95 %.1f{inMs (Measure.queueing result 95 0L<us> duration)} ms; Jain %.3f{Measure.jain result all together duration}"

    printfn
        $"{result.Datagrams} datagrams in %.2f{took} s: %.0f{float result.Datagrams / took / 1000.0} thousand a second"

    result

/// A variant of a group of scenarios, from 1.
let private scenario (it: Arguments) (word: string) =
    let group, variant =
        match word.Split ':' with
        | [| group; variant |] -> group, int variant
        | _ -> word, 1

    let variants = LabCampaign.choose [ group ]

    if variant < 1 || variant > variants.Length then
        raise (Mistake $"'{word}' is no path and no scenario: r1 to r5 and those of `congestion --list` are.")

    let scenario = variants[variant - 1]
    let controller = text "--controller" "ledbat" it
    let case = int (number "--case" 1.0 it) - 1

    if case < 0 || case >= scenario.Cases then
        raise (Mistake $"{group} has cases 1 to {scenario.Cases}.")

    let setting = scenario.Setting controller case (uint64 (number "--seed" 1.0 it))
    printfn $"{scenario.Group}: {scenario.Name}"

    let trial =
        { Controller = controller
          Target = Controllers.target controller
          Case = case
          Result = play it setting.Bottleneck setting.Flows setting.Duration }

    for criterion in scenario.Criteria do
        let value = criterion.Value trial
        let result = if criterion.Passes trial value then "passed" else "missed"
        printfn $"{result} ({criterion.For}): {criterion.What}: %.2f{value}"

let private path (it: Arguments) name =
    let delay, rate, queue, loss = presets[name]
    let delay, rate = number "--delay" delay it, number "--rate" rate it
    let queue, loss = number "--queue" queue it, number "--loss" loss it
    let seconds = number "--seconds" 10.0 it
    let count = int (number "--flows" 1.0 it)
    let names = list "--controller" [ "ledbat" ] it
    let count = max count names.Length
    let starts = numbers "--start" [] it
    let access = numbers "--access" [] it
    let at index (items: 'a list) preset = if index < items.Length then items[index] else preset

    let bottleneck = Lab.bottleneck (ms delay) (int64 (rate * 1e6)) (int (queue * 1000.0))

    let bottleneck =
        if loss = 0.0 then
            bottleneck
        else
            { bottleneck with Forward = { bottleneck.Forward with Loss = Loss.Each(int (loss * 10.0 + 0.5)) } }

    let bottleneck =
        match number "--longer" 0.0 it with
        | 0.0 -> bottleneck
        | longer ->
            let steps = Lateness.Steps [ (Time.seconds 8, ms longer) ]
            { bottleneck with Forward = { bottleneck.Forward with Lateness = steps } }

    let flows =
        [ for index in 0 .. count - 1 do
              let name = if names.Length = 1 then names[0] else at index names (List.last names)

              { FlowPlan.from (if count = 1 then name else $"{name} {index + 1}") (Controllers.sender name) with
                  From = ms (1000.0 * at index starts 0.0)
                  Access = ms (at index access 0.0) } ]

    play it bottleneck flows (ms (1000.0 * seconds)) |> ignore

let run (words: string list) =
    let it = parse known [ "--quiet" ] words

    match it.Words with
    | [] -> path it "r1"
    | [ name ] when presets.ContainsKey name -> path it name
    | word :: _ -> scenario it word

    0
