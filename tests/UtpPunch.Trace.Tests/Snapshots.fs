/// Snapshots: the generated code matches the core's types, and any bytes give a node or a typed error.
module UtpPunch.Tracing.Tests.Snapshots

open System
open System.IO
open Expecto
open FsCheck
open UtpPunch.Protocol
open UtpPunch.Tracing

let private root =
    let rec search (folder: DirectoryInfo) =
        if File.Exists(Path.Combine(folder.FullName, "UtpPunch.sln")) then
            folder.FullName
        else
            search folder.Parent

    lazy (search (DirectoryInfo AppContext.BaseDirectory))

let private fresh = lazy (Node.create NodeOptions.standard (Owned(Array.zeroCreate 32)) 0L<us>)

let private refuses (bytes: byte[]) =
    try
        Snapshot.restore bytes |> ignore
        false
    with :? FormatException ->
        true

let tests =
    testList
        "snapshot"
        [ test "the generated code is that of the core's types: `dotnet fsi build.fsx snapshot` writes it" {
              let written = File.ReadAllText(Path.Combine(root.Value, SnapshotGenerator.file))
              Expect.equal written (SnapshotGenerator.generate typeof<Node>.Assembly) SnapshotGenerator.file
          }
          test "no function of the generated code is recursive: a snapshot cannot exhaust the stack" {
              Expect.isFalse ((SnapshotGenerator.generate typeof<Node>.Assembly).Contains " rec ") "let rec"
          }
          test "a snapshot that was cut, or that is longer, is refused" {
              let whole = Snapshot.take true fresh.Value
              Expect.equal (Snapshot.take true (Snapshot.restore whole)) whole "back and forth"

              for length in 0 .. whole.Length - 1 do
                  Expect.isTrue (refuses whole[.. length - 1]) $"{length} bytes"

              Expect.isTrue (refuses (Array.append whole [| 0uy |])) "more"
          }
          test "a snapshot of other fields is refused" {
              let whole = Snapshot.take true fresh.Value
              // The layout is the number after the first five bytes.
              whole[6] <- whole[6] ^^^ 1uy
              Expect.isTrue (refuses whole) "another layout"
          }
          testPropertyWithConfig
              { FsCheckConfig.defaultConfig with maxTest = 1000 }
              "bytes that are no snapshot are refused with a FormatException"
              (fun (NonNull(bytes: byte[])) -> refuses bytes)
          test "a huge count allocates no more than the snapshot is long" {
              let head = (Snapshot.take true fresh.Value)[..60]
              let huge = [| 0xFFuy; 0xFFuy; 0xFFuy; 0xFFuy; 0x07uy |]

              for place in 0..60 do
                  let bytes = Array.concat [| head[.. place - 1]; huge; Array.zeroCreate 1000 |]
                  let before = GC.GetAllocatedBytesForCurrentThread()
                  refuses bytes |> ignore
                  let allocated = GC.GetAllocatedBytesForCurrentThread() - before
                  Expect.isLessThan allocated 1_000_000L $"a count of 2^31 at {place}"
          } ]
