/// Every pair of NATs, with our own nodes behind them.
module UtpPunch.Sim.Tests.PunchMatrices

open Expecto
open UtpPunch.Protocol
open UtpPunch.Sim

let private kernel = NatOracle.kernel |> Array.map (fun struct (_, model) -> model)

let private outcomes (models: NatModel[]) change =
    [| for row, a in Array.indexed models ->
           [| for column, b in Array.indexed models ->
                  { Encounter.between [ a ] [ b ] with Seed = uint64 (1000 + row * 100 + column) }
                  |> change
                  |> Encounter.run |] |]

let private print (cells: Meeting[][]) =
    cells
    |> Array.map (fun row ->
        System.String
            [| for cell in row ->
                   if Meeting.isOneSided cell then '1'
                   elif Meeting.isMet cell && cell.IsUsable then 'Y'
                   elif Meeting.isMet cell then 'u'
                   else '.' |])
    |> String.concat "\n"

let private count (cells: Meeting[][]) =
    cells
    |> Array.sumBy (fun row -> row |> Array.sumBy (fun cell -> if Meeting.isMet cell then 1 else 0))

let private show (table: bool[][]) =
    table
    |> Array.map (fun row -> System.String [| for cell in row -> if cell then 'Y' else '.' |])
    |> String.concat "\n"

/// What the kernel's ten let through, and what the sequential allocator adds when its next ports are guessed.
let private predicted =
    [| for row in 0..9 ->
           [| for column in 0..9 ->
                  NatOracle.kernelReflexive[row][column]
                  || (row = 6 && List.contains column [ 0; 1; 4; 6 ])
                  || (column = 6 && List.contains row [ 0; 1; 4 ]) |] |]

let tests =
    testList
        "punch matrices"
        [ test "between a kernel's ten, 67 of 100 pairs meet" {
              let cells = outcomes kernel id
              Expect.equal (print cells) (show predicted) "the matrix"
              Expect.equal (count cells) 67 "pairs"
          }
          test "RFC 4787's nine meet as the closed form has it" {
              let cells = outcomes NatModel.nine id

              let closed =
                  [| for a in NatModel.nine ->
                         [| for b in NatModel.nine -> NatOracle.canPunch PunchAlgorithm.Reflexive a b |] |]

              Expect.equal (print cells) (show closed) "the matrix"
          } ]
