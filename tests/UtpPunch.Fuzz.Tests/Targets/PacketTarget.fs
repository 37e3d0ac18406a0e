/// The decoder of uTP packets: any bytes give a packet or a reason; what is decoded can be encoded, and decodes to the same.
module UtpPunch.Fuzz.PacketTarget

open System
open UtpPunch.Protocol

let private decode (datagram: byte[]) : struct (Malformed * Packet) =
    let mutable packet = Unchecked.defaultof<Packet>
    let malformed = Packet.decode (Borrowed datagram) &packet
    struct (malformed, packet)

/// Only lengths that are multiples of four can be encoded, which BEP 29 requires of the sender.
let private checkEncoding (packet: Packet) =
    if not packet.HasRanges && packet.Sack.Length % 4 = 0 && packet.Sack.Length <= 252 then
        let encoded =
            Wire.packet packet.Header (packet.Sack.Span.ToArray()) packet.Bits (packet.Payload.Span.ToArray())

        let struct (malformed, again) = decode encoded
        Target.check (malformed = Malformed.None) $"An encoded packet is malformed: {malformed}."

        let isEqual =
            again.Header.Equals packet.Header
            && again.Sack.Equals packet.Sack
            && again.Bits = packet.Bits
            && again.Payload.Equals packet.Payload

        Target.check isEqual "A packet changes when it is encoded and decoded."

let private run (features: Features) (input: Input) =
    for chunk in input do
        let struct (malformed, packet) = decode chunk
        features.Add(1, int malformed)

        if malformed = Malformed.None then
            features.Add(
                2,
                int packet.Header.Type * 4
                + (if packet.Sack.IsEmpty then 0 else 1)
                + (if packet.Bits = 0UL then 0 else 2)
            )

            features.AddSize(3, packet.Sack.Length)
            features.AddSize(4, packet.Payload.Length)
            checkEncoding packet

let target: Target =
    { Name = "packet"
      About = "datagrams for the decoder of uTP packets"
      Seeds = fun draws -> [ for _ in 1..5 -> [| Wire.randomPacket draws |] ]
      Fresh = Wire.randomPacket
      Run = run
      MostAllocated = struct (4_000L, 8L, 1_000L) }
