/// Words that the sources must not use, each with the term of the field that replaces it. STYLE.md says why.
module UtpPunch.Protocol.Tests.Words

open System
open System.IO
open System.Text.RegularExpressions
open Expecto

/// A pattern in the sources, and what to write instead. Identifiers are matched with their case, prose without.
let private banned =
    [ @"\bStandstill\b", "SyncWaiter"
      @"\bGlance\b", "TryPollOnce"
      @"\bHurry\b", "StepInline"
      @"\bDrive\b", "RunUntil"
      @"\bCycle\b", "PollAndStep"
      @"\bMakeWay\b", "StandBy"
      @"\bNudge\b", "WakeIfAsleep"
      @"\bIWork\b", "ICommand"
      @"\bMilestone\b", "LazyCompletion"
      @"\bDrains\b", "FlushWaiters"
      @"\bAgenda\b", "TimerQueue"
      @"\bCrowds\b", "Collisions"
      @"(?i)\bspray\w*", "BirthdayProbing"
      @"\bLobby\b", "RendezvousState"
      @"\bCargo\b", "payload"
      @"\bComplaints?\b", "ErrorOutput"
      @"\bPuppet\b", "ScriptedPeer"
      @"\bMonkey\b", "RandomPeer"
      @"\b(NatMapping|NatDependence|PortMapping|MappingBehaviour|Dependence)\b", "NatBehavior"
      @"\bSettling\b", "Output"
      @"\bArrivals\b", "Input"
      @"\bEmission\b", "PacketBuilder"
      @"\bEvidence\b", "LossDetection"
      @"\bNoise\b", "LossTolerance"
      @"\bEnding\b", "Commands, Delivery or Closing"
      @"\bIntroductions\b", "NodeTasks"
      @"\bTurn\b|\b_turn\b|(?i)\b(the|its|his|this|own) turn\b", "step, loop lock"
      @"(?i)\b(send|sends|sent|sending) (\w+ )?again\b", "retransmit"
      @"(?i)\bwheel\b", "leader"
      @"(?i)\bguests?\b", "caller-driven loop"
      @"(?i)\bwish(es|ed)?\b", "command"
      @"(?i)\bpatien\w+|\bimpatien\w+", "time-out, limit"
      @"(?i)\bhurry\b", "say what is faster"
      @"(?i)\bwhoever\b", "name the subject"
      @"(?i)\b(some|any|no|every)body\b", "peer, caller, thread, ..."
      @"(?i)\bso many\b", "the number"
      @"(?i)\bof (its|their|his) own accord\b", "by itself"
      @"(?i)\blooks? (it|them) over\b", "checks"
      @"(?i)\bsays that it is there\b", "sends a keep-alive"
      @"(?i)\bwhat (comes|came|becomes|became) of\b", "the result"
      @"(?i)\b(says?|said) so\b", "name what is said" ]
    |> List.map (fun (pattern, instead) -> Regex(pattern, RegexOptions.Compiled), instead)

/// Files and folders that have been rewritten. The list grows until it is `src`, `docs` and the files of the root.
let private covered =
    [ "README.md"
      "ARCHITECTURE.md"
      "CONTRIBUTING.md"
      "SECURITY.md"
      "STYLE.md"
      "CHANGELOG.md"
      "build.fsx"
      "build"
      "bench"
      "samples"
      "docs"
      "src/UtpPunch.Cli/Bench"
      "src/UtpPunch.Cli/Commands"
      "src/UtpPunch.Cli/Parsing"
      "src/UtpPunch.Cli/Simulator"
      "src/UtpPunch.Net/Punching"
      "src/UtpPunch.Net/Recording"
      "src/UtpPunch.Net/Transport"
      "src/UtpPunch.Protocol.fs/Collections"
      "src/UtpPunch.Protocol.fs/Congestion"
      "src/UtpPunch.Protocol.fs/Node"
      "src/UtpPunch.Protocol.fs/Punch"
      "src/UtpPunch.Protocol.fs/Stream/Send"
      "src/UtpPunch.Protocol.fs/Values"
      "src/UtpPunch.Protocol.fs/Wire"
      "src/UtpPunch.Sim/Support"
      "tests/AotCanary"
      "tests/UtpPunch.Net.Tests/Nodes"
      "tests/UtpPunch.Net.Tests/Punching"
      "tests/UtpPunch.Net.Tests/Samples"
      "tests/UtpPunch.Net.Tests/Transport" ]

let private extensions =
    set [ ".fs"; ".fsi"; ".fsx"; ".cs"; ".md"; ".js"; ".html"; ".props"; ".targets"; ".csproj"; ".fsproj" ]

let private hitsIn path =
    [ for index, line in Array.indexed (File.ReadAllLines path) do
          for pattern, instead in banned do
              let found = pattern.Match line

              if found.Success then
                  $"{Sources.relative path}:{index + 1}: '{found.Value}'; write: {instead}" ]

let tests =
    testList
        "words"
        [ test "the sources use the field's words: none that STYLE.md bans" {
              let files =
                  covered
                  |> Seq.collect (fun place ->
                      let path = Path.Combine(Sources.root.Value, place)
                      if File.Exists path then Seq.singleton path else Sources.filesBelow path)
                  |> Seq.filter (Path.GetExtension >> extensions.Contains)
                  |> Seq.toArray

              Expect.isGreaterThan files.Length covered.Length "files"
              Sources.nowhere "words that must not be used" (Seq.collect hitsIn files)
          }
          test "every rule finds its own word" {
              for sample in
                  [ "the wheel"
                    "Whoever asks"
                    "nobody"
                    "is sent again"
                    "_turn"
                    "so many packets"
                    "he says so"
                    "impatience" ] do
                  Expect.isTrue (banned |> List.exists (fun (pattern, _) -> pattern.IsMatch sample)) sample

              for sample in [ "return"; "in turn"; "against"; "guesses"; "PeerNoise"; "Pending" ] do
                  Expect.isFalse (banned |> List.exists (fun (pattern, _) -> pattern.IsMatch sample)) sample
          } ]
