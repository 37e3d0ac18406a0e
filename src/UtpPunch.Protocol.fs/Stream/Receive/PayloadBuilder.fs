namespace UtpPunch.Protocol

open System

/// Joins the data of packets in order into payloads: equal pieces that lie one stride apart in one buffer, as segmented receive calls
/// give them, are one payload. A struct for a mutable field; empty outside of a step.
[<Struct; NoComparison; NoEquality>]
type internal PayloadBuilder =
    /// Payloads that are complete; null for none.
    val mutable private ready: ResizeArray<Payload>
    /// The buffer of the current payload; null for none.
    val mutable private buffer: byte[]
    val mutable private offset: int
    val mutable private stride: int
    val mutable private size: int
    val mutable private pieces: int
    val mutable private lastOffset: int
    val mutable private lastLength: int
    val mutable private isSealed: bool

    member private this.Current: Payload =
        { Buffer = this.buffer
          Offset = this.offset
          Stride = this.stride
          Size = this.size
          Length = (this.pieces - 1) * this.size + this.lastLength }

    member private this.Complete() =
        if this.pieces > 0 then
            if isNull this.ready then this.ready <- ResizeArray()

            this.ready.Add this.Current
            this.pieces <- 0
            this.buffer <- null

    member this.Append(data: Borrowed) =
        let gap = data.Offset - this.lastOffset

        if
            Object.ReferenceEquals(this.buffer, data.Array)
            && not this.isSealed
            && data.Length <= this.size
            && this.lastLength = this.size
            && (if this.pieces = 1 then gap >= this.size else gap = this.stride)
        then
            this.stride <- gap
            this.pieces <- this.pieces + 1
        else
            this.Complete()
            this.buffer <- data.Array
            this.offset <- data.Offset
            this.stride <- data.Length
            this.size <- data.Length
            this.pieces <- 1
            this.isSealed <- false

        this.lastOffset <- data.Offset
        this.lastLength <- data.Length

    /// What follows came with another receive call: where that has put it is chance, and in no trace.
    member this.Seal() = this.isSealed <- true

    /// Hands over all payloads, in order.
    member this.Drain(deliver: Payload -> unit) =
        if isNull this.ready then
            if this.pieces > 0 then
                let current = this.Current
                this.pieces <- 0
                this.buffer <- null
                deliver current
        else
            this.Complete()
            let ready = this.ready
            this.ready <- null

            for payload in ready do
                deliver payload
