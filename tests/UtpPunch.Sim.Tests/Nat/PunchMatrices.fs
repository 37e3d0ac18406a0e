/// The library's own nodes behind every pair of NATs.
module UtpPunch.Sim.Tests.PunchMatrices

open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim

let private outcomes (models: NatModel[]) change =
    [| for row, a in Array.indexed models ->
           [| for column, b in Array.indexed models ->
                  { PunchScenario.between [ a ] [ b ] with Seed = uint64 (1000 + row * 100 + column) }
                  |> change
                  |> PunchScenario.run |] |]

let private print (cells: PunchOutcome[][]) =
    cells
    |> Array.map (fun row ->
        System.String
            [| for cell in row ->
                   if PunchOutcome.isOneSided cell then '1'
                   elif PunchOutcome.isMet cell && cell.IsUsable then 'Y'
                   elif PunchOutcome.isMet cell then 'u'
                   else '.' |])
    |> String.concat "\n"

let private count (cells: PunchOutcome[][]) =
    cells
    |> Array.sumBy (fun row -> row |> Array.sumBy (fun cell -> if PunchOutcome.isMet cell then 1 else 0))

let private show (table: bool[][]) =
    table
    |> Array.map (fun row -> System.String [| for cell in row -> if cell then 'Y' else '.' |])
    |> String.concat "\n"

/// What the ten measured NATs permit, and what port prediction adds for sequential allocation.
let predicted =
    [| for row in 0..9 ->
           [| for column in 0..9 ->
                  NatOracle.kernelReflexive[row][column]
                  || (row = 6 && List.contains column [ 0; 1; 4; 6 ])
                  || (column = 6 && List.contains row [ 0; 1; 4 ]) |] |]

let tests =
    testList
        "punch matrices"
        [ test "between the ten measured NATs, 67 of 100 pairs connect" {
              let cells = outcomes NatOracle.models id
              Expect.equal (print cells) (show predicted) "the matrix"
              Expect.equal (count cells) 67 "pairs"
          }
          test "RFC 4787's nine NATs connect as the closed form says" {
              let cells = outcomes NatModel.nine id

              let closed =
                  [| for a in NatModel.nine ->
                         [| for b in NatModel.nine -> NatOracle.canPunch PunchAlgorithm.Reflexive a b |] |]

              Expect.equal (print cells) (show closed) "the matrix"
          } ]
