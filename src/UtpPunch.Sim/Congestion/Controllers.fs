namespace UtpPunch.Sim.Congestion

open UtpPunch.Protocol

/// The congestion controllers that the lab knows, by name.
module Controllers =
    let names = [ for it in CongestionControls.all -> it.Name ]

    /// The options of nodes whose streams use a controller.
    let options (name: string) : NodeOptions =
        match CongestionControls.tryFind name with
        | ValueSome control ->
            { NodeOptions.standard with
                Bep29 =
                    { NodeOptions.standard.Bep29 with
                        Congestion = control } }
        | ValueNone ->
            let known = String.concat ", " names
            invalidArg (nameof name) $"'{name}' is no controller: {known} are."

    /// A sender of the lab, by the name of its controller.
    let sender (name: string) = (let options = options name in Sender.Utp(options, options))
