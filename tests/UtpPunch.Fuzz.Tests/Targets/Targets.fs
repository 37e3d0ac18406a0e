/// All targets.
module UtpPunch.Fuzz.Targets

let all: Target list =
    [ PacketTarget.target
      NodeTarget.target
      RendezvousTarget.target
      StunTarget.target
      MappingTarget.target
      TraceTarget.target
      ScenarioTarget.target
      OfferTarget.target
      PunchWireTarget.target ]

let tryFind (name: string) : Target option = List.tryFind (fun (target: Target) -> target.Name = name) all
