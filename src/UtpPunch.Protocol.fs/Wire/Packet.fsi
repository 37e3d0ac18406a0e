namespace UtpPunch.Protocol

/// BEP 29's packet types, the upper half of the first byte.
type PacketType =
    | Data = 0uy
    | Fin = 1uy
    | State = 2uy
    | Reset = 3uy
    | Syn = 4uy

/// The fixed 20 bytes of BEP 29's header, less version and first extension.
[<Struct; NoComparison>]
type Header =
    {
        Type: PacketType
        ConnectionId: uint16
        /// `timestamp_microseconds`: the sender's clock when it sent this.
        Timestamp: uint32
        /// `timestamp_difference_microseconds`: the delay of the last packet that the sender received; 0 when it has none.
        TimestampDifference: uint32
        /// `wnd_size`: free bytes in the sender's receive buffer.
        Window: uint32
        SeqNr: SeqNr
        AckNr: SeqNr
    }

/// A decoded packet. Its parts are slices of the datagram.
[<Struct; NoComparison>]
type Packet =
    {
        Header: Header
        /// The bits of the selective acknowledgement (extension 1), empty when there is none. Bit 0 of byte 0 is `ack_nr + 2`.
        Sack: Borrowed
        /// Whether they are `SackRanges` instead (extension 86).
        HasRanges: bool
        /// The 8 extension bits (extension 2), most significant byte first; 0 when there are none.
        Bits: uint64
        Payload: Borrowed
    }

/// Why a datagram is not a packet.
type Malformed =
    | None = 0
    /// Shorter than the header, another version, or an unknown type: not uTP.
    | Foreign = 1
    /// The chain of extensions runs over the end.
    | Extension = 2

module Packet =
    /// The length of the fixed header, in bytes.
    [<Literal>]
    val HeaderLength: int = 20

    /// Reads the datagram. Total: any bytes give a packet or the reason why not. Unknown extensions are skipped (BEP 29), and so are ranges
    /// that are none.
    val decode: datagram: Borrowed -> packet: outref<Packet> -> Malformed

    /// Reads the header alone, of a packet that may be cut off behind it; none if the bytes are too few, or no packet of uTP.
    val tryReadHeader: start: Borrowed -> Header voption

    /// Extension 85, which only UtpPunch nodes send each other: the code of a SYN and a SYN-ACK, and the share of a key; empty when there is
    /// none.
    val authentication: datagram: Borrowed -> Borrowed

    /// The length of a packet with that many bytes of selective acknowledgement, these extension bits (0 for none), and that many bytes
    /// of payload.
    val lengthOf: sackLength: int -> bits: uint64 -> payloadLength: int -> int

    /// Writes a packet and returns its length. The selective acknowledgement is a multiple of 4 bytes, at most 252, or empty; it stands
    /// before the extension bits, which are not written when they are 0.
    val encode:
        header: inref<Header> -> sack: Owned -> bits: uint64 -> payload: Owned -> target: System.Span<byte> -> int

    /// Writes a packet whose selective acknowledgement is ranges (extension 86).
    val encodeRanges:
        header: inref<Header> -> ranges: Owned -> bits: uint64 -> payload: Owned -> target: System.Span<byte> -> int

    /// Writes a packet without a payload, with a selective acknowledgement (empty for none), extension bits (0 for none), and extension 85
    /// (empty for none).
    val encodeWith:
        header: inref<Header> ->
        sack: Owned ->
        hasRanges: bool ->
        bits: uint64 ->
        code: Owned ->
        target: System.Span<byte> ->
            int
