namespace UtpPunch.Sim

open System
open System.Buffers.Binary
open UtpPunch.Protocol

/// What someone makes who sees packets but does not know everything.
module Forged =
    /// A packet that must not count: under an id of no stream, with a number far out of range, or acknowledging what was never sent.
    let spoil (dialect: Dialect) (bits: uint64) (original: byte[]) : byte[] =
        let bytes = Array.copy original

        if bytes.Length >= Wire.HeaderLength then
            let put (offset: int) (distance: int) =
                let place = Span<byte>(bytes, offset, 2)
                let value = BinaryPrimitives.ReadUInt16BigEndian(Span.op_Implicit place)
                BinaryPrimitives.WriteUInt16BigEndian(place, uint16 (int value + distance))

            // Far from everything that is outstanding or may arrive.
            let far = 5_000 + int (bits >>> 8 &&& 0x3FFFUL)

            match int (bits &&& 3UL) with
            // The npm package's RESETs carry zeros: there the id has to do.
            | _ when dialect = Dialect.UtpPunch && bytes[0] >>> 4 = 3uy -> put 2 100
            | 2
            | 3 when dialect = Dialect.UtpPunch -> put 18 far
            | 0 -> put 2 (100 + int (bits >>> 8 &&& 0xFFFUL))
            | 1 -> put 18 far
            | 2 when int bytes[0] >>> 4 < 2 -> put 16 far
            | _ ->
                // A RESET that does not fit.
                bytes[0] <- 0x31uy
                put 18 far

        bytes
