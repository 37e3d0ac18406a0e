namespace UtpPunch.Sim

open UtpPunch.Protocol

/// How a pair punches.
[<RequireQualifiedAccess>]
type PunchAlgorithm =
    /// The npm package: sends to the advertised endpoint, and listens to no other.
    | Advertised
    /// Accepts a probe from any source, answers there and sends there as well: peer-reflexive candidates.
    | Reflexive
    /// The same, and the next few ports above the advertised one besides; good against sequential allocation.
    | Predicting

/// Which NATs let a pair through, said without simulating anything: from RFC 4787's words alone, and as measured between NATs of
/// a Linux kernel. What the simulator does must agree with both.
module NatOracle =
    let private isIndependent (nat: NatModel) = nat.Mapping = NatBehavior.EndpointIndependent

    /// The `from`'s probe to the advertised endpoint of the `target` gets in, both having sent to the other's advertised endpoint.
    let private reaches (from: NatModel) (target: NatModel) =
        // By the mapping's scope, the mapping that the probe comes to has sent to the peer only if that is the one for everybody.
        let hasSent = isIndependent target || target.FilterScope = FilterScope.Endpoint

        match target.Filter with
        | NatBehavior.EndpointIndependent -> true
        | NatBehavior.AddressDependent -> hasSent
        | NatBehavior.AddressAndPortDependent -> hasSent && isIndependent from

    /// The `target`'s answer to the source of such a probe gets back.
    let private returns (from: NatModel) (target: NatModel) =
        match from.Filter with
        | NatBehavior.EndpointIndependent
        | NatBehavior.AddressDependent -> true
        // The mapping that the probe left by has sent to the advertised endpoint, so the answer must leave from there.
        | NatBehavior.AddressAndPortDependent -> isIndependent target

    let private reflexive (a: NatModel) (b: NatModel) = (reaches a b && returns a b) || (reaches b a && returns b a)

    /// With its next ports guessed, a dependent mapping is as good as one for everybody, except towards another that takes a port for
    /// each guess: then each has sent from one port further on than the other guesses, and an exact filter never lets it in.
    let private predicting (a: NatModel) (b: NatModel) =
        let isExact (nat: NatModel) =
            nat.Filter = NatBehavior.AddressAndPortDependent && nat.FilterScope = FilterScope.Mapping

        let bothMove =
            a.Mapping = NatBehavior.AddressAndPortDependent && b.Mapping = NatBehavior.AddressAndPortDependent

        not (bothMove && (isExact a || isExact b))

    /// Whether two hosts behind such NATs meet, when both begin at once and nothing is lost. For NATs without quirks.
    let canPunch (algorithm: PunchAlgorithm) (a: NatModel) (b: NatModel) : bool =
        match algorithm with
        | PunchAlgorithm.Advertised -> isIndependent a && isIndependent b
        | PunchAlgorithm.Reflexive -> reflexive a b
        | PunchAlgorithm.Predicting -> predicting a b

    // ---- The kernel's ----

    let private block = PortAllocation.Hashed(40_000, 16_384)
    let private independent filter = NatModel.conntrack NatBehavior.EndpointIndependent filter PortAllocation.Preserving

    let private exact mapping ports = NatModel.conntrack mapping NatBehavior.AddressAndPortDependent ports

    let private fullyRandom filter =
        NatModel.conntrack NatBehavior.AddressAndPortDependent filter (PortAllocation.Random(1024, 64_512))

    /// Ten NATs that a Linux kernel was made to be, by name. All are conntrack's, with its sessions.
    let kernel: struct (string * NatModel)[] =
        [| "Home", independent NatBehavior.AddressAndPortDependent
           "HomeClash", { independent NatBehavior.AddressAndPortDependent with InboundCreatesState = true }
           "FullCone", independent NatBehavior.EndpointIndependent
           "AddrRestricted", independent NatBehavior.AddressDependent
           "EIM non-preserving", exact NatBehavior.EndpointIndependent block
           "ADM", exact NatBehavior.AddressDependent block
           "Symmetric sequential", exact NatBehavior.AddressAndPortDependent (PortAllocation.Sequential(40_000, 64, 1))
           "Symmetric random", fullyRandom NatBehavior.AddressAndPortDependent
           "APDM/EIF", fullyRandom NatBehavior.EndpointIndependent
           "APDM/ADF", fullyRandom NatBehavior.AddressDependent |]
        |> Array.map (fun (name, model) -> struct (name, model))

    /// Rows are A, columns are B, `Y` where both sides know that they met.
    let private tableOf (rows: string) =
        rows.Split('\n')
        |> Array.map (fun row -> row.Trim().Replace(" ", ""))
        |> Array.filter (fun row -> row <> "")
        |> Array.map (fun row -> [| for cell in row -> cell = 'Y' |])

    /// The npm package's algorithm, both at once: where neither mapping depends on anything.
    let kernelAdvertised = Array.init 10 (fun a -> Array.init 10 (fun b -> a < 5 && b < 5))

    /// The same, B 60 ms late: A's probe comes first. It clashes in column 1, and pins the mapping in column 8.
    let kernelAdvertisedLate =
        Array.init 10 (fun a -> Array.init 10 (fun b -> a < 5 && (b < 5 || b = 8) && b <> 1))

    /// Reflexive, both at once.
    let kernelReflexive =
        tableOf
            """
            Y Y Y Y Y . . . Y .
            Y Y Y Y Y . . . Y .
            Y Y Y Y Y Y Y Y Y Y
            Y Y Y Y Y Y Y Y Y Y
            Y Y Y Y Y . . . Y .
            . . Y Y . . . . Y .
            . . Y Y . . . . Y .
            . . Y Y . . . . Y .
            Y Y Y Y Y Y Y Y Y Y
            . . Y Y . . . . Y .
            """

    /// Reflexive, B 60 ms late: only the clash makes a difference.
    let kernelReflexiveLate =
        tableOf
            """
            Y . Y Y Y . . . Y .
            Y . Y Y Y . . . Y .
            Y Y Y Y Y Y Y Y Y Y
            Y Y Y Y Y Y Y Y Y Y
            Y . Y Y Y . . . Y .
            . . Y Y . . . . Y .
            . . Y Y . . . . Y .
            . . Y Y . . . . Y .
            Y Y Y Y Y Y Y Y Y Y
            . . Y Y . . . . Y .
            """
