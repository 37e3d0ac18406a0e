namespace UtpPunch.Sim.Congestion

open UtpPunch.Protocol

/// The congestion controllers that the lab knows, by name.
module Controllers =
    let names = [ "ledbat" ]

    /// The options of nodes whose streams use a controller.
    let options (name: string) : NodeOptions =
        match name with
        | "ledbat" -> NodeOptions.standard
        | _ ->
            let known = String.concat ", " names
            invalidArg (nameof name) $"'{name}' is no controller: {known} are."

    /// A sender of the lab, by the name of its controller.
    let sender (name: string) = (let options = options name in Sender.Utp(options, options))
