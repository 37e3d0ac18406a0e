namespace UtpPunch.Protocol

/// Birthday probing: where one side's NAT takes unforeseeable ports, that side opens many sockets, and the other one tries many ports.
/// With 256 of 64 512 ports open, 2048 tries miss them all once in about 3900.
[<NoComparison>]
type internal BirthdayProbing =
    {
        /// Whether we open sockets, and whether we try ports.
        Opens: bool
        /// The number (`Endpoint.Via`) of the first one.
        FirstSocket: int
        Searches: bool
        /// Both are drawn: no two tries go to the same port.
        First: uint32
        Stride: uint32
        /// Sockets used, and ports tried, so far.
        Opened: int
        Tried: int
        NextAt: Instant
    }

module internal BirthdayProbing =
    [<Literal>]
    let Sockets = 256

    [<Literal>]
    let Tries = 2048

    /// NATs do not allocate ports below this.
    [<Literal>]
    let private LeastPort = 1024u

    [<Literal>]
    let private Ports = 64512u

    /// Packets sent at once, followed by a pause: 500 per second.
    [<Literal>]
    let private Burst = 16

    let private pause = Time.milliseconds 32

    let begin' (opens: bool) (firstSocket: int) (searches: bool) (random: uint32) (now: Instant) : BirthdayProbing =
        // 64 512 is 2 to the tenth, times 9, times 7: a stride that has none of these factors meets every port once.
        let mutable stride = (random >>> 16) ||| 1u

        while stride % 3u = 0u || stride % 7u = 0u do
            stride <- stride + 2u

        { Opens = opens
          FirstSocket = firstSocket
          Searches = searches
          First = random % Ports
          Stride = stride
          Opened = 0
          Tried = 0
          NextAt = now }

    let private port (probing: BirthdayProbing) (index: int) : uint16 =
        uint16 (LeastPort + uint32 ((uint64 probing.First + uint64 index * uint64 probing.Stride) % uint64 Ports))

    let isOver (probing: BirthdayProbing) =
        (not probing.Opens || probing.Opened >= Sockets) && (not probing.Searches || probing.Tried >= Tries)

    let deadline (probing: BirthdayProbing) = if isOver probing then Time.never else probing.NextAt

    /// Where the next packets go: from each socket to the peer's known address, or from the first one to its possible ports.
    let next (now: Instant) (peer: Endpoint) (probing: BirthdayProbing) : struct (Endpoint[] * BirthdayProbing) =
        if now < deadline probing then
            struct ([||], probing)
        else
            let opened = if probing.Opens then min Burst (Sockets - probing.Opened) else 0
            let tried = if probing.Searches then min Burst (Tries - probing.Tried) else 0

            let targets =
                Array.append
                    (Array.init opened (fun index ->
                        Endpoint.via (uint16 (probing.FirstSocket + probing.Opened + index)) peer))
                    (Array.init tried (fun index -> Endpoint.withPort (port probing (probing.Tried + index)) peer))

            struct (targets,
                    { probing with
                        Opened = probing.Opened + opened
                        Tried = probing.Tried + tried
                        NextAt = now + pause })
