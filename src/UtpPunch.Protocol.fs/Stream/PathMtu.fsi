namespace UtpPunch.Protocol

/// Where the search stands (RFC 8899, 5.2).
[<Struct; RequireQualifiedAccess>]
type MtuState =
    /// At the size that it began with, or fell to: nothing is searched for now.
    | Base
    | Searching
    /// Nothing larger passes, as far as is known.
    | Complete
    /// Not even the base passes.
    | Error

/// Packetization layer path MTU discovery (RFC 8899) for one stream: how large its packets may be. A value. Sizes are bytes of UDP
/// payload. It sends nothing and asks for no clock: `Probing` does what it says.
[<Sealed>]
type PathMtu

module PathMtu =
    /// RFC 8899, 5.1.2: MAX_PROBES, how often a size is tried.
    [<Literal>]
    val MaxProbes: int = 3

    /// How many probes one search sends, at most: three rungs, twelve halvings between the last two of them, and the base, each size
    /// three times. The next search begins when PMTU_RAISE_TIMER says, or after packets have vanished.
    [<Literal>]
    val MaxSearchProbes: int = 48

    /// At the size that the options begin with, and knowing of no peer that answers probes.
    val create: isIPv4: bool -> options: StreamOptions -> PathMtu
    /// The peer knows of probes, and takes datagrams of that size.
    val meet: largest: int -> it: PathMtu -> PathMtu
    /// Whether the peer knows of probes.
    val isMet: it: PathMtu -> bool

    val state: it: PathMtu -> MtuState
    /// The largest packet that goes out with DF (RFC 8899: PLPMTU).
    val size: it: PathMtu -> int
    /// The size that is being tried, and under which id; 0 for none (RFC 8899: PROBED_SIZE).
    val probed: it: PathMtu -> int
    val probeId: it: PathMtu -> byte
    /// When the probe under way is held for lost; `Time.never` without one.
    val dueAt: it: PathMtu -> Instant

    /// The probe under way has waited for long enough.
    val expire: now: Instant -> it: PathMtu -> PathMtu
    /// The next search begins if it is time for it. Only a stream that has something to send asks.
    val wake: now: Instant -> it: PathMtu -> PathMtu
    /// The next probe, if one is due: the caller sends it, `probed` bytes long, and waits for `timeout`, longer each time. None is
    /// larger than `cap`. The same value when there is none.
    val probe: now: Instant -> timeout: Duration -> cap: int -> it: PathMtu -> PathMtu
    /// A probe was answered. The same value when it fits nothing that was asked.
    val confirm: id: byte -> size: int -> it: PathMtu -> PathMtu
    /// Somebody said that `size` bytes are too many, and that `limit` pass; 0 when he did not say how many.
    val tooLong: now: Instant -> size: int -> limit: int -> it: PathMtu -> PathMtu
    /// The retransmission timer fired for the `inARow`-th time in a row, with packets of up to `longest` bytes outstanding, of which the
    /// oldest has `oldest` (RFC 8899, 4.3: black hole detection). The same value when that says nothing of their size.
    val vanish: now: Instant -> inARow: int -> oldest: int -> longest: int -> it: PathMtu -> PathMtu
