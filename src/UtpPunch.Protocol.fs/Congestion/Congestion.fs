namespace UtpPunch.Protocol

/// The kinds of congestion control that come with the library.
module CongestionControls =
    /// LEDBAT++ (draft-irtf-iccrg-ledbat-plus-plus): yields to all other traffic.
    let ledbat = CongestionControl("ledbat", (fun from -> LedbatStart from))

    /// BBR (draft-ietf-ccwg-bbr): finds the path's rate and its round trip, and keeps the queue short; losses that are no congestion do
    /// not slow it down.
    let bbr = CongestionControl("bbr", (fun from -> BbrStart.create from))

    /// CUBIC (RFC 9438), as most of the other traffic: fills queues, and yields to each loss.
    let cubic = CongestionControl("cubic", (fun from -> CubicStart from))

    let all = [| bbr; cubic; ledbat |]

    /// Stands in a trace for one of the application's own, which only the application can run.
    let foreign =
        CongestionControl(
            "foreign",
            (fun _ ->
                raise (
                    System.NotSupportedException
                        "The congestion control is the application's own, and not in the trace."
                ))
        )

    /// That of a name; `foreign` for any other.
    let named (name: string) =
        match System.Array.Find(all, (fun it -> it.Name = name)) with
        | null -> foreign
        | found -> found

    let tryFind (name: string) =
        match System.Array.Find(all, (fun it -> it.Name = name)) with
        | null -> ValueNone
        | found -> ValueSome found
