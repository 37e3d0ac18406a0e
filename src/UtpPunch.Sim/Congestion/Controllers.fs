namespace UtpPunch.Sim.Congestion

open UtpPunch.Protocol

/// The congestion controllers that the lab knows, by name.
module Controllers =
    let names = [ for it in CongestionControls.all -> it.Name ]

    /// Models of other stacks, to compete with.
    let models = [ "reno"; "cubic-model"; "bbr-model" ]

    /// The options of nodes whose streams use a controller.
    let options (name: string) : NodeOptions =
        match CongestionControls.tryFind name with
        | ValueSome control ->
            { NodeOptions.standard with Bep29 = { NodeOptions.standard.Bep29 with Congestion = control } }
        | ValueNone ->
            let known = String.concat ", " names
            invalidArg (nameof name) $"'{name}' is no controller: {known} are."

    /// The delay in the queue that a controller aims at, if it aims at one. Models have none: for them, queues are as long as for LEDBAT++.
    let target (name: string) =
        if List.contains name models then
            StreamOptions.bep29.TargetDelay
        else
            (options name).Bep29.TargetDelay

    /// A sender of the lab, by the name of its controller or model.
    let sender (name: string) =
        if List.contains name models then
            Sender.Model name
        else
            let options = options name
            Sender.Utp(options, options)
