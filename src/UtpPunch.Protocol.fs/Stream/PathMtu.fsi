namespace UtpPunch.Protocol

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module internal PathMtu =
    /// RFC 8899, 5.1.2: MAX_PROBES, how often a size is tried.
    [<Literal>]
    val MaxProbes: int = 3

    /// How many probes one search sends, at most: three common sizes, twelve halvings between the last two of them, and the base, each size
    /// three times. The next search begins after PMTU_RAISE_TIMER, or after packets have vanished.
    [<Literal>]
    val MaxSearchProbes: int = 48

    /// At the size that the options begin with; the peer is not known to answer probes.
    val create: isIPv4: bool -> options: StreamOptions -> PathMtu
    /// The peer answers probes, and takes datagrams of that size.
    val meet: largest: int -> it: PathMtu -> PathMtu
    /// The same peer over another path, of which nothing is known.
    val restart: isIPv4: bool -> options: StreamOptions -> it: PathMtu -> PathMtu
    /// Whether the peer answers probes.
    val isMet: it: PathMtu -> bool

    val state: it: PathMtu -> MtuState
    /// The largest packet that is sent with DF (RFC 8899: PLPMTU).
    val size: it: PathMtu -> int
    /// The size that is being tried, and under which id; 0 for none (RFC 8899: PROBED_SIZE).
    val probed: it: PathMtu -> int
    val probeId: it: PathMtu -> byte
    /// When the outstanding probe counts as lost; `Time.never` without one.
    val dueAt: it: PathMtu -> Instant

    /// The outstanding probe is lost if its time is over.
    val expire: now: Instant -> it: PathMtu -> PathMtu
    /// Begins the next search if it is due. Only for a stream that has something to send.
    val wake: now: Instant -> it: PathMtu -> PathMtu
    /// The next probe, if one is due: the caller sends it, `probed` bytes long, and waits for `timeout`, longer each time. None is
    /// larger than `cap`. The same value when there is none.
    val probe: now: Instant -> timeout: Duration -> cap: int -> it: PathMtu -> PathMtu
    /// A probe was answered. The same value when it fits nothing that was asked.
    val confirm: id: byte -> size: int -> it: PathMtu -> PathMtu
    /// `size` bytes were reported to be too many, and `limit` to pass; 0 when that was not reported.
    val tooLong: now: Instant -> size: int -> limit: int -> it: PathMtu -> PathMtu
    /// The retransmission timer fired for the `inARow`-th time in a row, with packets of up to `longest` bytes outstanding, of which the
    /// oldest has `oldest` (RFC 8899, 4.3: black hole detection). The same value when their size need not be the cause.
    val vanish: now: Instant -> inARow: int -> oldest: int -> longest: int -> it: PathMtu -> PathMtu
