namespace UtpPunch.Protocol

/// Microseconds, the one unit of time here: BEP 29 stamps packets in them.
[<Measure>]
type us

/// A point on the clock that the caller passes in. Its zero is arbitrary: only differences are used.
type Instant = int64<us>

/// A distance between two instants.
type Duration = int64<us>

module Time =
    /// Later than any instant: no deadline.
    let never: Instant = 0x7FFF_FFFF_FFFF_FFFFL * 1L<us>

    let inline microseconds (count: int64) : Duration = count * 1L<us>
    let inline milliseconds (count: int) : Duration = int64 count * 1_000L<us>
    let inline seconds (count: int) : Duration = int64 count * 1_000_000L<us>

    /// `instant + duration`, where a duration of `never` stays `never`.
    let inline after (duration: Duration) (instant: Instant) : Instant =
        if duration = never then never else instant + duration

    /// In microseconds: longer ones are half an hour.
    let inline inInt (duration: Duration) : int = int (max -0x7FFFFFFFL (min 0x7FFFFFFFL (int64 duration)))

    /// The low 32 bits, as BEP 29's `timestamp_microseconds` carries them.
    let inline stamp (instant: Instant) : uint32 = uint32 (uint64 instant)
