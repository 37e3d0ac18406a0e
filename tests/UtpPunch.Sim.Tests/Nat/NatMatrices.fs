/// Minimal punchers behind every pair of NATs: the simulation agrees with the closed form and with measurements of a kernel's NATs.
module UtpPunch.Sim.Tests.NatMatrices

open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim
open UtpPunch.Sim.Tests.Punchers

let private matrixOf (models: NatModel[]) meets =
    [| for row, a in Array.indexed models -> [| for column, b in Array.indexed models -> meets row column a b |] |]

let private count (table: bool[][]) =
    table |> Array.sumBy (fun row -> row |> Array.sumBy (fun cell -> if cell then 1 else 0))

let private print (table: bool[][]) =
    table
    |> Array.map (fun row -> System.String [| for cell in row -> if cell then 'Y' else '.' |])
    |> String.concat "\n"

/// Compared as text, so that a failure shows both matrices.
let private same (claim: string) (expected: bool[][]) (simulated: bool[][]) =
    Expect.equal (print simulated) (print expected) claim

let private simulated models probing late =
    matrixOf models (fun row column a b -> punch (uint64 (row * 100 + column)) probing late a b)

let private closed algorithm models = matrixOf models (fun _ _ a b -> NatOracle.canPunch algorithm a b)

let private perEndpoint =
    NatModel.nine |> Array.map (fun model -> { model with FilterScope = FilterScope.Endpoint })

/// From an independent model of RFC 4787.
let private reflexiveNine =
    "YYYYYYYYY\nYYYYYYYYY\nYYY......\nYY.YY.YY.\nYY.Y..Y..\nYY.......\nYY.YY.YY.\nYY.Y..Y..\nYY......."

let tests =
    testList
        "NAT matrices"
        [ test "the closed form is the table of RFC 4787's nine types, 45 of 81, and 49 with a filter per endpoint" {
              Expect.equal (print (closed PunchAlgorithm.Reflexive NatModel.nine)) reflexiveNine "per mapping"
              Expect.equal (count (closed PunchAlgorithm.Reflexive NatModel.nine)) 45 "per mapping"
              Expect.equal (count (closed PunchAlgorithm.Reflexive perEndpoint)) 49 "per endpoint"
              Expect.equal (count (closed PunchAlgorithm.Advertised NatModel.nine)) 9 "advertised only"
              Expect.equal (count (closed PunchAlgorithm.Predicting NatModel.nine)) 76 "predicting"
              Expect.equal (count (closed PunchAlgorithm.Predicting perEndpoint)) 81 "predicting, per endpoint"
          }
          test "peers that accept only the advertised endpoint connect in 9 of RFC 4787's 81 pairs" {
              let table = simulated NatModel.nine naive 0L<us>
              same "the closed form" (closed PunchAlgorithm.Advertised NatModel.nine) table
              same "per endpoint too" table (simulated perEndpoint naive 0L<us>)
              Expect.equal (count table) 9 "pairs"
          }
          test "peers that accept any source connect in 45 of RFC 4787's 81 pairs" {
              let table = simulated NatModel.nine reflexive 0L<us>
              same "the closed form" (closed PunchAlgorithm.Reflexive NatModel.nine) table
              Expect.equal (count table) 45 "pairs"
          }
          test "with a filter per endpoint, peers that accept any source connect in 49 of RFC 4787's 81 pairs" {
              let table = simulated perEndpoint reflexive 0L<us>
              same "the closed form" (closed PunchAlgorithm.Reflexive perEndpoint) table
              Expect.equal (count table) 49 "pairs"
          }
          test
              "between the ten measured NATs, peers that accept only the advertised endpoint connect in 25 of 100 pairs" {
              let table = simulated NatOracle.models naive 0L<us>
              same "as measured" NatOracle.kernelAdvertised table
              Expect.equal (count table) 25 "pairs"
          }
          test "between the ten measured NATs, a peer 60 ms late collides in HomeClash and is pinned in APDM/EIF" {
              same
                  "as measured"
                  NatOracle.kernelAdvertisedLate
                  (simulated NatOracle.models naive (Time.milliseconds 60))
          }
          test "between the ten measured NATs, peers that accept any source connect in 60 of 100 pairs" {
              let table = simulated NatOracle.models reflexive 0L<us>
              same "as measured" NatOracle.kernelReflexive table
              Expect.equal (count table) 60 "pairs"
          }
          test
              "between the ten measured NATs, peers that accept any source connect in 57 of 100 pairs if one is 60 ms late" {
              let table = simulated NatOracle.models reflexive (Time.milliseconds 60)
              same "as measured" NatOracle.kernelReflexiveLate table
              Expect.equal (count table) 57 "pairs"
          } ]
