namespace UtpPunch.Protocol

/// What a client tells its rendezvous of a punch, if the application allows that (`MeetPlan.Reports`).
[<Struct; NoComparison>]
type MeetingReport =
    {
        /// `Open`, `NothingHeard`, `NotHeard`, `NotAgreed` or `PeerGaveUp`.
        Stage: PunchStage
        /// The path; only with `Open`.
        Kind: PathKind
        /// What the client's NAT does, as it has measured, and what the peer's does, as the peer's offer says.
        Mapping: PortPrediction
        PeerMapping: PortPrediction
        /// From the introduction on.
        Elapsed: Duration
    }

/// How many reports a server has had.
[<NoComparison>]
type MeetingReportCount =
    {
        Stage: PunchStage
        Kind: PathKind
        Mapping: PortPrediction
        PeerMapping: PortPrediction
        /// The punch took at most this; `Time.never` for the last one of the intervals.
        Within: Duration
        Count: int64
    }

/// The values of reports in a datagram, and the number that all reports of one kind have in the server's table. Ports that follow each other are one value,
/// whatever their distance.
module internal MeetingReport =
    let private stages =
        [| PunchStage.Open
           PunchStage.NothingHeard
           PunchStage.NotHeard
           PunchStage.NotAgreed
           PunchStage.PeerGaveUp |]

    let private kinds =
        [| PathKind.Host
           PathKind.Observed
           PathKind.Predicted
           PathKind.Reflexive
           PathKind.Birthday
           PathKind.Mapped |]

    let private mappings =
        [| PortPrediction.Unknown
           PortPrediction.EndpointIndependent
           PortPrediction.Dependent 1
           PortPrediction.Dependent 0 |]

    /// The upper ends of the intervals of `Elapsed`.
    let private intervals =
        Array.append (Array.map Time.milliseconds [| 50; 100; 200; 500; 1000; 2000; 5000; 10_000 |]) [| Time.never |]

    let private codeOfMapping (mapping: PortPrediction) =
        match mapping with
        | PortPrediction.Unknown -> 0uy
        | PortPrediction.EndpointIndependent -> 1uy
        | PortPrediction.Dependent step -> if step = 0 then 3uy else 2uy

    /// Whether the rendezvous is told of a punch that ends so.
    let isTold (stage: PunchStage) = Array.contains stage stages

    /// The four bytes of a report.
    let encode (it: MeetingReport) : byte[] =
        [| byte (Array.findIndex ((=) it.Stage) stages)
           byte (Array.findIndex ((=) it.Kind) kinds)
           codeOfMapping it.Mapping
           codeOfMapping it.PeerMapping |]

    /// None if a value is not known.
    let decode
        (stage: byte)
        (kind: byte)
        (mapping: byte)
        (peerMapping: byte)
        (elapsed: Duration)
        : MeetingReport voption =
        let isKnown (code: byte) (values: 'T[]) = int code < values.Length

        if
            isKnown stage stages
            && isKnown kind kinds
            && isKnown mapping mappings
            && isKnown peerMapping mappings
        then
            ValueSome
                { Stage = stages[int stage]
                  Kind = kinds[int kind]
                  Mapping = mappings[int mapping]
                  PeerMapping = mappings[int peerMapping]
                  Elapsed = elapsed }
        else
            ValueNone

    /// The key of what is counted together: at most 4320 keys.
    let key (it: MeetingReport) : int =
        let codes = encode it
        let interval = intervals |> Array.findIndex (fun until -> it.Elapsed <= until)
        // The path has no meaning without one.
        let kind = if it.Stage = PunchStage.Open then int codes[1] else 0

        (((int codes[0] * kinds.Length + kind) * mappings.Length + int codes[2]) * mappings.Length
         + int codes[3])
        * intervals.Length
        + interval

    let ofKey (key: int) (count: int64) : MeetingReportCount =
        let rest, interval = key / intervals.Length, key % intervals.Length
        let rest, peer = rest / mappings.Length, rest % mappings.Length
        let rest, own = rest / mappings.Length, rest % mappings.Length

        { Stage = stages[rest / kinds.Length]
          Kind = kinds[rest % kinds.Length]
          Mapping = mappings[own]
          PeerMapping = mappings[peer]
          Within = intervals[interval]
          Count = count }
