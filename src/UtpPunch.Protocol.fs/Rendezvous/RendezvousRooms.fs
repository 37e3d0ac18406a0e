namespace UtpPunch.Protocol

/// The rooms of a server, for its operator.
module internal RendezvousRooms =
    let private size (room: Room) = Radix.count room.Visitors + Radix.count room.Services

    /// The latest of a list.
    let private latest most (server: Rendezvous) (list: Radix<int>) : Registrant[] =
        let count = Radix.count list

        Array.init (min most count) (fun index -> (Radix.tryFind (count - 1 - index) list).Value)
        |> Array.choose (fun number -> Radix.tryFind number server.Registrants |> ValueOption.toOption)

    let private describe members (server: Rendezvous) (room: Room) : RendezvousRoom voption =
        let some = Array.append (latest members server room.Services) (latest members server room.Visitors)

        match Array.tryHead some with
        | Some first ->
            ValueSome
                { Tag = first.Registration.Room
                  Visitors = Radix.count room.Visitors
                  Staying = Radix.count room.Services
                  Members = some |> Array.truncate members |> Array.map (fun it -> Endpoint.via 0us it.Remote) }
        | None -> ValueNone

    /// The largest rooms, with some members of each.
    let largest (most: int) (members: int) (server: Rendezvous) : RendezvousRoom[] =
        let all = ResizeArray<Room>()
        Radix.iterate (fun _ room -> all.Add room) server.Rooms
        all.Sort(fun a b -> compare (size b) (size a))

        all.GetRange(0, min most all.Count).ToArray()
        |> Array.choose (describe members server >> ValueOption.toOption)
