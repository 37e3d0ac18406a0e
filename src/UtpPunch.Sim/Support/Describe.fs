namespace UtpPunch.Sim

open System
open UtpPunch.Protocol
open UtpPunch.Tracing

/// Effects as text, to compare and read runs: the lines of a trace without time and node, with a hash of all bytes of a stream.
module Describe =
    let endpoint (value: Endpoint) = TraceText.endpoint value

    let header (header: Header) = TraceText.header header

    /// A payload's bytes in one piece.
    let flatten (payload: Payload) =
        let whole = Array.zeroCreate payload.Length
        payload.CopyTo(0, Span<byte>(whole)) |> ignore
        whole

    let private text (lines: TraceLine[]) =
        String.Join("\n", [| for line in lines -> line.Kind + " " + String.Join(' ', line.Fields) |])

    let effects (effects: Effect[]) = text (TraceText.effects TracePayloads.Digest null 0L "." effects)

    let effect (effect: Effect) = effects [| effect |]

    /// The stream that an effect names.
    let connIdOf (effect: Effect) : ConnId voption = Templates.streamOf effect
