namespace UtpPunch.Protocol

/// Bytes for the reader, in order: pieces of `Size` bytes that start `Stride` apart in `Buffer`, the last perhaps shorter.
/// `Buffer` is either one that the shell passed in with `Event.Received` in the same step, which the shell must not reuse before the
/// reader has taken the bytes, or an array that the core copied into and does not refer to any more.
[<Struct; NoComparison>]
type Payload =
    {
        Buffer: byte[]
        Offset: int
        Stride: int
        Size: int
        /// Of all pieces together.
        Length: int
    }

    /// Copies from `start` on what fits into the target and returns how much that was.
    member this.CopyTo(start: int, target: System.Span<byte>) =
        let wanted = min target.Length (this.Length - start)
        let mutable copied = 0

        while copied < wanted do
            let at = start + copied
            let piece = at / this.Size
            let within = at - piece * this.Size
            let count = min (this.Size - within) (wanted - copied)

            System
                .ReadOnlySpan<byte>(this.Buffer, this.Offset + piece * this.Stride + within, count)
                .CopyTo(target.Slice copied)

            copied <- copied + count

        wanted
