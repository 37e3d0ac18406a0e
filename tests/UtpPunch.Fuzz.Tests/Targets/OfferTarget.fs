/// Offers: their open text, and sealed ones, of which only those that were sealed with the room's key can be opened.
module UtpPunch.Fuzz.OfferTarget

open System
open UtpPunch.Protocol

let private room = Owned(Array.init 32 byte)
let private nonce = Owned(Array.init 12 byte)
let private remote = Endpoint.ofIPv4 0x0A000001u 4000us

let private plan =
    { Plans.meeting remote room [| remote |] with PrivateAddresses = PrivateAddressPolicy.Always }

let private randomEndpoint (draws: Draws) = Endpoint.ofIPv4 (uint32 (draws.Next())) (uint16 (draws.Next()))

let private randomText (draws: Draws) : byte[] =
    let offer =
        { Nonce = Owned(draws.Bytes 16)
          Birthday = draws.OneIn 2
          Mapping =
            draws.Of
                [| PortPrediction.Unknown
                   PortPrediction.EndpointIndependent
                   PortPrediction.Dependent(draws.Below 200 - 100) |]
          Observed = randomEndpoint draws
          Last = randomEndpoint draws
          Hosts = Array.init (draws.Below 9) (fun _ -> randomEndpoint draws) }

    (Offer.write offer).Span.ToArray()

let private areEqual (a: Offer) (b: Offer) =
    a.Nonce.Equals b.Nonce
    && a.Birthday = b.Birthday
    && a.Mapping = b.Mapping
    && a.Observed.Equals b.Observed
    && a.Last.Equals b.Last
    && a.Hosts.Length = b.Hosts.Length
    && Array.forall2 (fun (x: Endpoint) (y: Endpoint) -> x.Equals y) a.Hosts b.Hosts

let private runText (features: Features) (text: byte[]) =
    match Offer.read (Borrowed text) with
    | ValueNone -> features.Add(1, 0)
    | ValueSome offer ->
        features.Add(2, offer.Hosts.Length)
        features.AddText(3, string offer.Mapping)

        match Offer.read (Offer.write offer).AsBorrowed with
        | ValueSome again -> Target.check (areEqual offer again) "An offer changes when it is written and read."
        | ValueNone -> Target.violated "A written offer cannot be read."

        for observed in [ remote; offer.Last ] do
            let candidates = Offer.candidates plan observed remote offer
            features.Add(4, candidates.Length)
            Target.check (candidates.Length <= 17) $"An offer has {candidates.Length} candidates."

/// Seals a text and changes the sealed bytes as the operation says.
let private runSealed (features: Features) (operation: Operation) =
    let text = operation.Bytes(operation.Below 120)
    let sealed' = (Secrets.seal room nonce (Owned text)).Span.ToArray()

    let changed =
        Array.mapi
            (fun index value -> if index = int (operation.Byte()) then value ^^^ operation.Byte() else value)
            sealed'

    let isSame = changed.AsSpan().SequenceEqual(ReadOnlySpan sealed')

    match Secrets.unseal room (Borrowed changed) with
    | ValueSome opened ->
        features.Add(5, 1)
        Target.check isSame "A sealed offer that was changed is opened."
        Target.check (opened.Equals(Owned text)) "A sealed offer opens to another text."
    | ValueNone ->
        features.Add(5, 0)
        Target.check (not isSame) "A sealed offer is not opened."

let private run (features: Features) (input: Input) =
    for chunk in input do
        let operation = Operation chunk

        match operation.Below 3 with
        | 0 -> runText features (operation.Rest())
        | 1 -> runSealed features operation
        | _ ->
            // Not sealed at all.
            let opened = Secrets.unseal room (Borrowed(operation.Rest()))
            Target.check opened.IsNone "Bytes that the room did not seal are opened."

let private fresh (draws: Draws) : byte[] =
    match draws.Below 3 with
    | 0 -> Array.append [| 0uy |] (randomText draws)
    | 1 -> Array.append [| 1uy |] (draws.Bytes(draws.Below 60))
    | _ -> Array.append [| 2uy |] (draws.Bytes(draws.Below 60))

let target: Target =
    { Name = "offer"
      About = "the open text of offers, and sealed offers that were changed"
      Seeds = fun draws -> [ for _ in 1..5 -> [| fresh draws |] ]
      Fresh = fresh
      Run = run
      MostAllocated = struct (4_000L, 8L, 40_000L) }
