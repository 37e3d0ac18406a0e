namespace UtpPunch.Fuzz

open System

/// An invariant does not hold.
exception Violation of message: string with
    override this.Message = this.message

/// What is fuzzed.
[<NoComparison; NoEquality>]
type Target =
    {
        Name: string
        /// What it reads, in a few words.
        About: string
        /// Inputs to begin with.
        Seeds: Draws -> Input list
        /// A fresh operation that is nearly valid.
        Fresh: Draws -> byte[]
        /// Runs an input and throws if an invariant does not hold.
        Run: Features -> Input -> unit
        /// The most bytes that an execution may allocate: a constant, and for each byte and each chunk of the input.
        MostAllocated: struct (int64 * int64 * int64)
    }

/// Why an execution failed. Failures with the same signature have the same cause, probably.
type Failure = { Signature: string; Explanation: string }

module Target =
    let violated (message: string) : 'T = raise (Violation message)

    let check (holds: bool) (message: string) = if not holds then violated message

    let private isSlice (line: string) = [ ".Slice."; ".Borrowed."; ".Owned." ] |> List.exists line.Contains

    /// The two innermost own functions on the stack, less the slices, which everything uses.
    let private place (error: exn) =
        (string error.StackTrace).Split '\n'
        |> Array.map _.Trim()
        |> Array.filter (fun line -> line.Contains "UtpPunch." && not (isSlice line))
        |> Array.truncate 2
        |> Array.map (fun line -> line.Split('(')[0])
        |> String.concat " "

    let private withoutNumbers (text: string) = Text.RegularExpressions.Regex.Replace(text, @"\d+", "N")

    let private failureOf (error: exn) =
        match error with
        | Violation message -> { Signature = withoutNumbers message; Explanation = message }
        | _ -> { Signature = $"{error.GetType().Name} {place error}"; Explanation = string error }

    let private mostOf (target: Target) (input: Input) =
        let struct (constant, perByte, perChunk) = target.MostAllocated
        constant + perByte * int64 (Input.length input) + perChunk * int64 input.Length

    /// Runs an input. The bound of memory is checked when `isWarm`: first calls allocate for the compiler.
    let execute (target: Target) (isWarm: bool) (features: Features) (input: Input) : Failure voption =
        features.Clear()
        Edges.clear ()
        let before = GC.GetAllocatedBytesForCurrentThread()

        try
            target.Run features input
            let allocated = GC.GetAllocatedBytesForCurrentThread() - before

            if isWarm && allocated > mostOf target input then
                violated $"An input of {Input.length input} bytes allocated {allocated} bytes."

            ValueNone
        with error ->
            ValueSome(failureOf error)
