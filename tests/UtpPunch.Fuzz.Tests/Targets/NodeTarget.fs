/// A node in any state, to which the network and the application do anything, while time goes on.
module UtpPunch.Fuzz.NodeTarget

open System
open UtpPunch.Protocol

/// Small buffers and tables, so that their limits are reached.
let private optionsOf (operation: Operation) : NodeOptions =
    let small (stream: StreamOptions) =
        { stream with
            SendBuffer = 20_000
            ReceiveBuffer = operation.Of [| 5_000; 20_000; 1_000 |]
            NoDelay = operation.Flag() }

    { NodeOptions.standard with
        Dialect = operation.Of [| Dialect.Bep29; Dialect.Bep29; Dialect.UtpPunch |]
        MaxConnections = operation.Of [| 8; 2; 16 |]
        MaxPerAddress = operation.Of [| 100; 1; 3 |]
        ReceiveBudget = operation.Of [| 10_000_000L; 20_000L; 4_000L |]
        MaxHalfOpen = operation.Of [| 4; 1; 2 |]
        Bep29 = small NodeOptions.standard.Bep29
        UtpPunch = small NodeOptions.standard.UtpPunch }

let private replay (features: Features) (overwrites: bool) (input: Input) : NodeWorld =
    let config = Operation(if input.Length = 0 then [||] else input[0])
    let world = NodeWorld(features, optionsOf config, overwrites)
    Array.iteri (fun name chunk -> NodeOperations.apply world name chunk) (Array.skip (min 1 input.Length) input)
    world.Step 0
    world

let private run (features: Features) (input: Input) =
    let world = replay features true input

    if Input.hash input % 8UL = 0UL then
        let again = replay features false input

        Target.check
            (world.Snapshot().AsSpan().SequenceEqual(ReadOnlySpan(again.Snapshot())))
            "Two runs end in different states; in one of them, received buffers were overwritten."

let private fresh (draws: Draws) : byte[] =
    let kind = byte (draws.Below NodeOperations.count)
    Array.append [| (if draws.OneIn 6 then kind ||| 0x80uy else kind) |] (draws.Bytes(2 + draws.Below 24))

/// Byte strings of operations, which `NodeOperations` explains.
let private listening: Input =
    [| [| 0uy |]
       [| 8uy; 0uy; 1uy; 3uy |]
       [| 4uy; 0uy; 0uy |]
       [| 1uy; 0uy; 0uy; 0uy |]
       [| 9uy; 0uy; 0uy; 7uy; 3uy |]
       [| 6uy |] |]

let private wrapping: Input =
    // Acknowledges what the SYN-ACK says.
    let header = [| 0uy; 0uy; 0uy; 0uy; 0uy; 0uy; 0uy; 3uy |]

    [| [| 0uy |]
       [| 8uy; 0uy; 1uy; 3uy |]
       [| 4uy; 0uy; 0uy; 2uy |]
       Array.append [| 1uy; 0uy |] header
       Array.concat [ [| 3uy; 0uy |]; header; [| 0uy; 1uy; 3uy; 3uy |] ]
       [| 6uy |] |]

let private dialling: Input =
    [| [| 0uy |]
       [| 7uy; 0uy |]
       [| 1uy; 0uy; 0uy; 2uy; 1uy |]
       [| 9uy; 0uy; 0uy; 7uy; 4uy |]
       [| 6uy |]
       [| 6uy |] |]

let private meeting: Input =
    [| [| 0uy |]
       [| 11uy; 0uy; 3uy; 0uy; 0uy; 2uy |]
       [| 12uy; 0uy; 0uy; 0uy |]
       [| 12uy; 0uy; 2uy; 0uy; 60uy |]
       [| 12uy; 0uy; 6uy; 0uy; 1uy; 1uy |]
       [| 13uy; 1uy; 0uy; 0uy; 1uy; 0uy |]
       [| 6uy |] |]

/// A stream over the path of a punch, whose own address changes then.
let private linked: Input =
    let header = [| 0uy; 0uy; 0uy; 0uy; 0uy; 0uy; 0uy; 3uy |]
    // An answer to the probe of that number, of the link.
    let answer number echo = [| 13uy; 1uy; 1uy; 1uy; 1uy; 0uy; number; 3uy; echo; 0uy; 1uy |]

    [| [| 0uy |]
       [| 11uy; 0uy; 3uy; 0uy; 0uy; 2uy |]
       [| 12uy; 0uy; 0uy; 0uy |]
       [| 12uy; 0uy; 2uy; 0uy; 60uy |]
       [| 12uy; 0uy; 6uy; 1uy; 1uy; 1uy; 0uy; 0uy; 1uy; 1uy |]
       [| 13uy; 1uy; 1uy; 2uy; 1uy; 0uy; 0uy; 0uy; 0uy; 0uy; 0uy |]
       [| 13uy; 1uy; 1uy; 0uy; 1uy; 0uy; 0uy; 0uy; 0uy; 0uy; 2uy |]
       Array.append [| 1uy; 1uy |] header
       answer 9uy 1uy
       [| 11uy; 0uy; 2uy; 0uy; 1uy; 2uy |]
       [| 6uy |]
       [| 5uy; 0uy; 5uy |]
       [| 5uy; 0uy; 5uy |]
       answer 10uy 3uy
       [| 11uy; 0uy; 2uy; 0uy; 1uy; 2uy |]
       [| 5uy; 0uy; 5uy |]
       [| 5uy; 0uy; 7uy |]
       [| 6uy |] |]

let private discovering: Input =
    [| [| 0uy |]
       [| 11uy; 0uy; 1uy; 0uy |]
       [| 14uy; 0uy; 2uy; 1uy; 1uy; 0uy; 0uy; 0uy; 2uy |]
       [| 6uy |]
       [| 6uy |] |]

let target: Target =
    { Name = "node"
      About = "packets, calls and time for a node in any state"
      Seeds =
        fun draws ->
            [ listening
              wrapping
              dialling
              meeting
              linked
              discovering
              Array.init 10 (fun _ -> fresh draws) ]
      Fresh = fresh
      Run = run
      MostAllocated = struct (3_000_000L, 100L, 1_000_000L) }
