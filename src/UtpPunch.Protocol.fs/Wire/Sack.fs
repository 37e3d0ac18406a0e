namespace UtpPunch.Protocol

/// The bits of a selective acknowledgement (BEP 29, extension 1). Bit 0 is `ack_nr + 2`; a byte's least significant bit is its first packet.
module Sack =
    let bits (sack: Borrowed) = 8 * sack.Length

    /// Whether it acknowledges the packet of a bit, which may lie outside of it.
    let names bit (sack: Borrowed) =
        bit >= 0
        && bit < bits sack
        && sack.Array[sack.Offset + (bit >>> 3)] &&& (1uy <<< (bit &&& 7)) <> 0uy
