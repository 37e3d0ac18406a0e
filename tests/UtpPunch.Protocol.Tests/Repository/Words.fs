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
      @"\bEncounters?\b", "PunchScenario"
      @"(?i)\bpuppets?\b", "scripted peer"
      @"(?i)\bcomplaints?\b", "error"
      @"(?i)\btells? of\b", "report, show"
      @"(?i)\bimagined\b", "simulated"
      @"(?i)\b(says?|said) so\b", "name what is said" ]
    |> List.map (fun (pattern, instead) -> Regex(pattern, RegexOptions.Compiled), instead)

/// Files and folders that are checked.
let private covered =
    [ "README.md"
      "ARCHITECTURE.md"
      "CONTRIBUTING.md"
      "SECURITY.md"
      "STYLE.md"
      "CHANGELOG.md"
      "build.fsx"
      "bench"
      "build"
      "docs"
      "samples"
      "src"
      "tests" ]

/// Files that are not checked: this one, which contains the words.
let private skipped = [ "tests/UtpPunch.Protocol.Tests/Repository/Words.fs" ]

/// Words that are right in a file or folder, because they name something else there.
let private exempt =
    [ // The grammar of scenario texts has the names of fields and cases.
      "src/UtpPunch.Sim", "Ending"
      "tests/UtpPunch.Sim.Tests", "Ending"
      "src/UtpPunch.Sim/Scenarios", "Nobody"
      "tests/UtpPunch.Sim.Tests", "Nobody"
      "tests/UtpPunch.Protocol.Tests/Stories", "Nobody"
      // The cause of a loss in a trace.
      "src/UtpPunch.Sim/World", "nobody"
      // A rendezvous introduces peers.
      "src/UtpPunch.Net/Public", "Introductions"
      "src/UtpPunch.Net/Telemetry", "Introductions"
      "src/UtpPunch.Protocol.fs/Rendezvous", "Introductions"
      "tests/UtpPunch.Protocol.Tests/Stories", "Introductions"
      "tests/UtpPunch.Fuzz.Tests/Targets", "Introductions"
      "src/UtpPunch.Rendezvous", "Introductions"
      "docs/rendezvous.md", "Introductions"
      // The wheel of a mouse.
      "src/UtpPunch.Cli/Traces/Page", "wheel" ]

let private extensions =
    set
        [ ".fs"
          ".fsi"
          ".fsx"
          ".cs"
          ".md"
          ".js"
          ".py"
          ".html"
          ".props"
          ".targets"
          ".csproj"
          ".fsproj" ]

let private isBelow (place: string) (path: string) =
    path = place || path.StartsWith(place + "/", StringComparison.Ordinal)

/// The banned words in the files, each with its file, line and replacement.
let private found =
    lazy
        [| for place in covered do
               let absolute = Path.Combine(Sources.root.Value, place)
               let files = if File.Exists absolute then Seq.singleton absolute else Sources.filesBelow absolute

               for file in files do
                   let path = Sources.relative file

                   if extensions.Contains(Path.GetExtension file) && not (List.contains path skipped) then
                       for index, line in Array.indexed (File.ReadAllLines file) do
                           for pattern, instead in banned do
                               for hit in pattern.Matches line do
                                   path, index + 1, hit.Value, instead |]

let tests =
    testList
        "words"
        [ test "the sources use the field's words: none that STYLE.md bans" {
              let isExempt path word =
                  exempt |> List.exists (fun (place, allowed) -> allowed = word && isBelow place path)

              Sources.nowhere
                  "words that must not be used"
                  [ for path, line, word, instead in found.Value do
                        if not (isExempt path word) then $"{path}:{line}: '{word}'; write: {instead}" ]
          }
          test "every exemption is needed" {
              for place, word in exempt do
                  let isNeeded = found.Value |> Array.exists (fun (path, _, hit, _) -> hit = word && isBelow place path)
                  Expect.isTrue isNeeded $"'{word}' is in {place}"
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
