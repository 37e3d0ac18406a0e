/// The messages between clients, rendezvous and peers, and those of the npm package.
module UtpPunch.Fuzz.PunchWireTarget

open System
open UtpPunch.Protocol

let private key = Owned(Array.init 32 byte)
let private remote = Endpoint.ofIPv4 0x0A000001u 4000us

let private kinds =
    [| 1uy
       2uy
       3uy
       4uy
       5uy
       0x40uy
       0x41uy
       0x42uy
       0x43uy
       0x44uy
       0x81uy
       0x82uy
       0x83uy
       0x84uy
       0x85uy
       0x86uy |]

/// What a message is, for features.
let private nameOf (message: RendezvousMessage) =
    match message with
    | RendezvousMessage.Register it -> 10 + (if it.Stays then 1 else 0)
    | RendezvousMessage.Acknowledge _ -> 2
    | RendezvousMessage.Leave _ -> 3
    | RendezvousMessage.Observe _ -> 4
    | RendezvousMessage.Challenge(_, _, _, _, others) -> 20 + others.Length
    | RendezvousMessage.Registered _ -> 5
    | RendezvousMessage.Observed _ -> 6
    | RendezvousMessage.Introduce _ -> 7
    | RendezvousMessage.Go _ -> 8
    | RendezvousMessage.Full _ -> 9
    | RendezvousMessage.Ping _ -> 10
    | RendezvousMessage.Report _ -> 12

let private runMessage (features: Features) (datagram: byte[]) =
    match PunchWire.decode (Borrowed datagram) with
    | ValueNone -> features.Add(1, 0)
    | ValueSome message ->
        features.Add(2, nameOf message)
        let encoded = PunchWire.encode message

        match PunchWire.decode encoded.AsBorrowed with
        | ValueNone -> Target.violated "An encoded message is malformed."
        | ValueSome again ->
            Target.check (encoded.Equals(PunchWire.encode again)) "A message changes when it is encoded and decoded."

let private runProbe (features: Features) (datagram: byte[]) =
    match ProbeWire.decode (Borrowed datagram) with
    | ValueNone -> features.Add(3, 0)
    | ValueSome probe ->
        features.AddText(4, string probe.Kind)
        let encoded = ProbeWire.encode key probe
        Target.check (ProbeWire.isAuthentic key encoded.AsBorrowed) "An encoded probe is not authentic."
        let isClaimed = ProbeWire.isAuthentic key (Borrowed datagram)
        features.Add(5, (if isClaimed then 1 else 0))
        // The flag for the sender is a byte, of which zero means the lower peer. What follows the code is padding.
        if isClaimed then
            Target.check
                (encoded.Equals(Owned datagram[.. ProbeWire.ProbeLength - 1]))
                "Two probes are authentic with one code."

let private runTracker (features: Features) (datagram: byte[]) =
    let datagram = Borrowed datagram

    features.Add(
        6,
        (if LegacyPunch.isQuestion datagram then 1
         elif LegacyPunch.isAnswer datagram then 2
         else 0)
    )

    if LegacyTracker.isQuestion datagram then
        let waiting = { LegacyTracker.empty with Server = ValueSome remote; ForgetAt = Time.never }
        let struct (_, sent) = LegacyTracker.receive 0L<us> remote datagram waiting
        features.Add(7, sent.Length)
        Target.check (sent.Length <= 2) "The tracker sends more than two answers."

let private run (features: Features) (input: Input) =
    for chunk in input do
        runMessage features chunk
        runProbe features chunk
        runTracker features chunk

let private fresh (draws: Draws) : byte[] =
    if draws.OneIn 10 then
        "{\"name\":\"CLIENT\"}"B
    else
        Array.concat [ "UPN1"B; [| draws.Of kinds |]; draws.Bytes(draws.Of [| 8; 51; 60; 90; 130 |]) ]

let target: Target =
    { Name = "punch-wire"
      About = "datagrams for the decoders of rendezvous, punch and tracker messages"
      Seeds =
        fun draws ->
            [| "{\"name\":\"SERVER\"}"B; "PUNCH"B; "PUNCHED"B |]
            :: [ for kind in kinds -> [| Array.concat [ "UPN1"B; [| kind |]; draws.Bytes 123 ] |] ]
      Fresh = fresh
      Run = run
      MostAllocated = struct (4_000L, 40L, 20_000L) }
