namespace UtpPunch.Protocol

open System
open System.Buffers.Binary
open System.Security.Cryptography

/// The numbers of a stream that is accepted here. As a rule they are random, and a late copy of a SYN draws others. Under a flood they are a
/// keyed hash of what the SYN said, so that the node need not remember it: the packet that confirms the SYN-ACK says the same once more
/// (RFC 4987, 3.6: SYN cookies).
[<Struct; NoComparison; NoEquality>]
type internal SynCookie =
    {
        /// The number of the SYN-ACK, and of our first data.
        First: SeqNr
        /// The offset of our clock in the SYN-ACK, and in all later packets.
        HandshakeOffset: uint32
        Offset: uint32
    }

module internal SynCookie =
    /// A cookie is valid for one to two of these.
    let private lifetime = Time.seconds 32

    /// The two clocks are at least 33 s apart: no packet can be taken for one that echoes the other.
    let private distance (random: uint32) = 0x0200_0000u + random % (0u - 0x0400_0000u)

    /// Which of them the node is in, after it has existed for that long.
    let period (age: Duration) = age / lifetime

    /// From three words of 32 bits.
    let ofWords (words: ReadOnlySpan<byte>) : SynCookie =
        let handshake = BinaryPrimitives.ReadUInt32BigEndian(words.Slice 4)

        { First = SeqNr(BinaryPrimitives.ReadUInt16BigEndian words)
          HandshakeOffset = handshake
          Offset = handshake + distance (BinaryPrimitives.ReadUInt32BigEndian(words.Slice 8)) }

    let ofSyn (key: Owned) (period: int64) (remote: Endpoint) (id: uint16) (syn: SeqNr) : SynCookie =
        let said = Array.zeroCreate<byte> 36
        BinaryPrimitives.WriteInt64BigEndian(Span<byte>(said, 0, 8), period)
        BinaryPrimitives.WriteUInt64BigEndian(Span<byte>(said, 8, 8), remote.High)
        BinaryPrimitives.WriteUInt64BigEndian(Span<byte>(said, 16, 8), remote.Low)
        BinaryPrimitives.WriteUInt32BigEndian(Span<byte>(said, 24, 4), remote.Scope)
        BinaryPrimitives.WriteUInt16BigEndian(Span<byte>(said, 28, 2), remote.Port)
        BinaryPrimitives.WriteUInt16BigEndian(Span<byte>(said, 30, 2), remote.Via)
        BinaryPrimitives.WriteUInt16BigEndian(Span<byte>(said, 32, 2), id)
        BinaryPrimitives.WriteUInt16BigEndian(Span<byte>(said, 34, 2), syn.Value)
        ofWords (ReadOnlySpan<byte>(HMACSHA256.HashData(key.Span, ReadOnlySpan<byte> said)))
