namespace UtpPunch.Sim

/// A violated property: its name in docs/simulation.md, and the reason.
exception Violation of property: string * why: string

module Check =
    let fail property why = raise (Violation(property, why))
