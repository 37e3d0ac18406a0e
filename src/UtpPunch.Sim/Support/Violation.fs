namespace UtpPunch.Sim

/// A property that did not hold: its name in docs/simulation.md, and what was seen.
exception Violation of property: string * why: string

module Check =
    let fail property why = raise (Violation(property, why))
