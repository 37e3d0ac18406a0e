namespace UtpPunch.Fuzz

#nowarn "9" // A native buffer is what the instrumented code counts into.

open System
open System.Collections.Generic
open System.Runtime.InteropServices
open Microsoft.FSharp.NativeInterop

/// The branches of the assemblies that SharpFuzz has instrumented, counted as AFL does. Without instrumentation nothing is counted.
module Edges =
    [<Literal>]
    let Size = 65536

    let private counters: nativeint = Marshal.AllocHGlobal Size
    let private span () = Span<byte>(NativePtr.toVoidPtr (NativePtr.ofNativeInt<byte> counters), Size)

    /// Instrumented code must not run before this.
    let prepare () =
        (span ()).Clear()
        SharpFuzz.Common.Trace.SharedMem <- NativePtr.ofNativeInt<byte> counters

    let clear () =
        (span ()).Clear()
        SharpFuzz.Common.Trace.PrevLocation <- 0

    /// AFL's classes: how often, roughly.
    let private bucket (count: byte) =
        if count < 4uy then int count
        elif count < 8uy then 4
        elif count < 16uy then 5
        elif count < 32uy then 6
        elif count < 128uy then 7
        else 8

    /// Adds the branches of the last execution; whether one is new.
    let add (known: byte[]) : bool =
        let counted = span ()
        let mutable isNew = false
        let mutable at = counted.IndexOfAnyExcept 0uy

        while at >= 0 do
            let bit = 1uy <<< (bucket counted[at] - 1)

            if known[at] &&& bit = 0uy then
                known[at] <- known[at] ||| bit
                isNew <- true

            let next = counted.Slice(at + 1).IndexOfAnyExcept 0uy
            at <- if next < 0 then -1 else at + 1 + next

        isNew

/// The number of a union's case, from 0.
[<AbstractClass; Sealed>]
type Case<'T> private () =
    static let read =
        FSharp.Reflection.FSharpValue.PreComputeUnionTagReader(
            typeof<'T>,
            Reflection.BindingFlags.NonPublic ||| Reflection.BindingFlags.Public
        )

    static member Of(value: 'T) : int = read (box value)

/// What a target says about an execution: results, rules, effects and states, as pairs of small numbers.
[<Sealed>]
type Features() =
    let features = HashSet<int64>()
    member _.Clear() = features.Clear()
    member _.Add(area: int, value: int) = features.Add((int64 area <<< 32) ||| int64 (uint32 value)) |> ignore

    /// The magnitude of a number: its bits.
    member this.AddSize(area: int, value: int) =
        this.Add(area, 32 - Numerics.BitOperations.LeadingZeroCount(uint32 value))

    member this.AddText(area: int, text: string) = this.Add(area, int (uint32 (Hashing.ofText text)))
    member _.All: IReadOnlyCollection<int64> = features

    /// The values of an area.
    member _.Of(area: int) : int seq = features |> Seq.filter (fun it -> int (it >>> 32) = area) |> Seq.map int

/// What was reached so far. An input that reaches more is kept.
[<Sealed>]
type Coverage() =
    /// Texts of errors may quote the input: such features could be without number.
    static let mostOfArea = 1_500

    let features = HashSet<int64>()
    let areas = Dictionary<int64, int>()

    let add (feature: int64) =
        let area = feature >>> 32
        let count = areas.GetValueOrDefault area

        if count < mostOfArea && features.Add feature then areas[area] <- count + 1

    let edges = Array.zeroCreate<byte> Edges.Size

    member _.Features = features.Count
    member _.Edges = edges |> Array.sumBy (fun value -> if value = 0uy then 0 else 1)

    /// Whether an execution reached new features.
    member _.AddFeatures(execution: Features) : bool =
        let before = features.Count
        Seq.iter add execution.All
        features.Count > before

    /// Whether an execution reached new features or branches. Both are added.
    member this.Add(execution: Features) : bool =
        let hasMarks = this.AddFeatures execution
        Edges.add edges || hasMarks
