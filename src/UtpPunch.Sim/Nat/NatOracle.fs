namespace UtpPunch.Sim

open UtpPunch.Protocol

/// How two peers punch.
[<RequireQualifiedAccess>]
type PunchAlgorithm =
    /// The npm package: sends to the advertised endpoint, and accepts packets from it only.
    | Advertised
    /// Peer-reflexive candidates: accepts a probe from any source, answers it, and probes that source as well.
    | Reflexive
    /// Like `Reflexive`, and probes the next few ports above the advertised one; works against sequential allocation.
    | Predicting

/// Which pairs of NATs can be punched, without simulation: in closed form from RFC 4787, and as measured between NATs of a Linux
/// kernel. The simulator must agree with both.
module NatOracle =
    let private isIndependent (nat: NatModel) = nat.Mapping = NatBehavior.EndpointIndependent

    /// Whether the probe of `from` to the advertised endpoint of `target` passes, once both have sent to the other's advertised endpoint.
    let private reaches (from: NatModel) (target: NatModel) =
        // With a filter per mapping, the mapping of the advertised endpoint has sent to the peer only if it serves all remote endpoints.
        let hasSent = isIndependent target || target.FilterScope = FilterScope.Endpoint

        match target.Filter with
        | NatBehavior.EndpointIndependent -> true
        | NatBehavior.AddressDependent -> hasSent
        | NatBehavior.AddressAndPortDependent -> hasSent && isIndependent from

    /// Whether the answer of `target` to the source of such a probe passes.
    let private returns (from: NatModel) (target: NatModel) =
        match from.Filter with
        | NatBehavior.EndpointIndependent
        | NatBehavior.AddressDependent -> true
        // The mapping of the probe has sent to the advertised endpoint only, so the answer must come from there.
        | NatBehavior.AddressAndPortDependent -> isIndependent target

    let private reflexive (a: NatModel) (b: NatModel) = (reaches a b && returns a b) || (reaches b a && returns b a)

    /// With predicted ports, a dependent mapping is as good as an independent one, unless both peers take a new port for each guess: then
    /// each sends from the port after the one that the other predicts, and a filter by address and port rejects it.
    let private predicting (a: NatModel) (b: NatModel) =
        let isExact (nat: NatModel) =
            nat.Filter = NatBehavior.AddressAndPortDependent && nat.FilterScope = FilterScope.Mapping

        let bothMove =
            a.Mapping = NatBehavior.AddressAndPortDependent && b.Mapping = NatBehavior.AddressAndPortDependent

        not (bothMove && (isExact a || isExact b))

    /// Whether two hosts behind such NATs connect if both begin at once and nothing is lost. For NATs without quirks.
    let canPunch (algorithm: PunchAlgorithm) (a: NatModel) (b: NatModel) : bool =
        match algorithm with
        | PunchAlgorithm.Advertised -> isIndependent a && isIndependent b
        | PunchAlgorithm.Reflexive -> reflexive a b
        | PunchAlgorithm.Predicting -> predicting a b

    // ---- Measured with the kernel ----

    let private block = PortAllocation.Hashed(40_000, 16_384)
    let private independent filter = NatModel.conntrack NatBehavior.EndpointIndependent filter PortAllocation.Preserving

    let private exact mapping ports = NatModel.conntrack mapping NatBehavior.AddressAndPortDependent ports

    let private fullyRandom filter =
        NatModel.conntrack NatBehavior.AddressAndPortDependent filter (PortAllocation.Random(1024, 64_512))

    /// The ten NATs that were configured in a Linux kernel, by name. All have conntrack's sessions.
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

    /// The same without their names.
    let models = kernel |> Array.map (fun struct (_, model) -> model)

    /// Rows are A, columns are B; `Y` where both peers report success.
    let private tableOf (rows: string) =
        rows.Split('\n')
        |> Array.map (fun row -> row.Trim().Replace(" ", ""))
        |> Array.filter (fun row -> row <> "")
        |> Array.map (fun row -> [| for cell in row -> cell = 'Y' |])

    /// The npm package's algorithm, both at once: connects where both mappings are endpoint-independent.
    let kernelAdvertised = Array.init 10 (fun a -> Array.init 10 (fun b -> a < 5 && b < 5))

    /// The same with B 60 ms late: A's probe arrives first. It collides in column 1, and pins the mapping in column 8.
    let kernelAdvertisedLate =
        Array.init 10 (fun a -> Array.init 10 (fun b -> a < 5 && (b < 5 || b = 8) && b <> 1))

    /// `Reflexive`, both at once.
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

    /// `Reflexive`, B 60 ms late: only the collision makes a difference.
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
