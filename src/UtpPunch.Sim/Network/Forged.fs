namespace UtpPunch.Sim

open System
open System.Buffers.Binary
open UtpPunch.Protocol

/// Packets of an attacker who sees packets but does not know everything.
module Forged =
    /// A packet that must be ignored: with the id of no stream, with a number far out of range, or acknowledging what was never sent.
    /// A RESET's number may be valid as long as its id is only adjacent to those of the target.
    let spoil (dialect: Dialect) (isOwn: uint16 -> bool) (bits: uint64) (original: byte[]) : byte[] =
        let bytes = Array.copy original

        if bytes.Length >= Packet.HeaderLength then
            let put (offset: int) (distance: int) =
                let place = Span<byte>(bytes, offset, 2)
                let value = BinaryPrimitives.ReadUInt16BigEndian(Span.op_Implicit place)
                BinaryPrimitives.WriteUInt16BigEndian(place, uint16 (int value + distance))

            // Far from all packets that are outstanding or may arrive.
            let far = 20_000 + int (bits >>> 8 &&& 0x1FFFUL)

            let id = BinaryPrimitives.ReadUInt16BigEndian(ReadOnlySpan<byte>(bytes, 2, 2))

            let neighbour = [ id + 1us; id - 1us ] |> List.tryFind (fun next -> isOwn id && not (isOwn next))

            match int (bits &&& 3UL), neighbour with
            | _, Some next when bytes[0] >>> 4 < 3uy && bits >>> 60 < 4UL ->
                bytes[0] <- 0x31uy
                bytes[1] <- 0uy
                put 2 (int next - int id)
            | kind, _ ->

                match kind with
                // The npm package's RESETs carry zeros: only the id can be checked.
                | _ when dialect = Dialect.UtpPunch && bytes[0] >>> 4 = 3uy -> put 2 100
                | 2
                | 3 when dialect = Dialect.UtpPunch -> put 18 far
                | 0 -> put 2 (100 + int (bits >>> 8 &&& 0xFFFUL))
                | 1 -> put 18 far
                | 2 when int bytes[0] >>> 4 < 2 -> put 16 far
                | _ ->
                    // A RESET with an invalid number.
                    bytes[0] <- 0x31uy
                    put 18 far

        bytes
