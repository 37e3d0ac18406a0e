namespace UtpPunch.Protocol

/// What a server has counted since it was created. Only the step that made a copy writes to it.
[<NoComparison>]
type RendezvousTotals =
    {
        /// Clients that have registered, and registrations that were repeated.
        mutable Registered: int64
        mutable Renewed: int64
        /// Cookies that were sent to addresses that had none.
        mutable Challenged: int64
        /// Pings to clients that were not heard lately, and clients that have not answered them.
        mutable Pinged: int64
        mutable Vanished: int64
        /// Registrations beyond a limit: of the server, of their source, of their room.
        mutable ServerFull: int64
        mutable SourceFull: int64
        mutable RoomFull: int64
        /// Datagrams that were dropped: not valid; beyond the rates without a valid cookie; beyond the rate with one.
        mutable Invalid: int64
        mutable TooManyUnproven: int64
        mutable TooManyProven: int64
        /// Reports of introductions that are not known, or were reported already.
        mutable ReportsRefused: int64
    }

module internal RendezvousTotals =
    let zero =
        { Registered = 0L
          Renewed = 0L
          Challenged = 0L
          Pinged = 0L
          Vanished = 0L
          ServerFull = 0L
          SourceFull = 0L
          RoomFull = 0L
          Invalid = 0L
          TooManyUnproven = 0L
          TooManyProven = 0L
          ReportsRefused = 0L }

/// What a server has now, and what it has counted. It names no room and no address.
[<NoComparison>]
type RendezvousCounts =
    {
        Rooms: int
        /// Clients in rooms, those among them that stay, and all that are registered, the introduced ones included.
        Waiting: int
        Staying: int
        Registrations: int
        Introductions: int
        Introduced: int64
        Totals: RendezvousTotals
        Reports: MeetingReportCount[]
    }

/// A room of a server, for its operator.
[<NoComparison>]
type RendezvousRoom =
    {
        Tag: Owned
        Visitors: int
        Staying: int
        /// Some of its members, as the server sees them.
        Members: Endpoint[]
    }
