namespace UtpPunch.Protocol

open System.Runtime.CompilerServices

/// What a stream knows of the clocks at both ends.
[<Struct; NoComparison; NoEquality>]
type internal Clocks =
    {
        /// Packets that echo our SYN-ACK are accepted until then, if they acknowledge nothing.
        mutable HandshakeUntil: Instant
        /// How old an echo may be.
        mutable Reach: Duration
        /// When a packet last failed the check; `Time.never` if one has passed since.
        mutable StrayAt: Instant
        /// When the last packet that passed has arrived.
        mutable PeerStampAt: Instant
        /// Its time stamp.
        mutable PeerStamp: uint32
        /// How many packets have failed since one passed.
        mutable Strays: int
        /// Added to our clock in each packet: 32 secret random bits; and in our SYN-ACK, if we have sent one.
        Offset: uint32
        HandshakeOffset: uint32
        IsIncoming: bool
        /// Whether the peer has echoed `Offset`: it has received a packet that was sent under it.
        mutable Echoed: bool
    }

/// Which of our clocks a packet echoes.
[<RequireQualifiedAccess>]
type internal Echo =
    | Current = 0
    /// That of our SYN-ACK.
    | Handshake = 1
    /// None, and its sender has never echoed one.
    | Absent = 2
    /// None that we sent within the time.
    | Stray = 3

/// Tells the peer's packets from those of an attacker off the path, who does not see our packets (docs/security.md).
///
/// A peer echoes our clock: its `timestamp_difference` is its own clock less our time stamp, so `timestamp - timestamp_difference` is our
/// clock when it sent the packet, less the delays of both ways. That must lie within the last two round trips, but two seconds at least.
/// And the peer's own clock must have gone on by the time that has passed (as in RFC 7323, 5: PAWS). An attacker has to guess both, about
/// ten bits each.
///
/// Honest packets fail when the path has become much longer, a machine has slept, a clock was set, or an implementation repeats packets
/// with old time stamps. Therefore a packet that fits in everything else and fails here is answered by a STATE (RFC 5961: challenge ACK). One
/// of our own nodes responds to that with its time stamp, which is exact: nothing is made easier for an attacker. Any other peer echoes
/// it in its next packet. If new packets go on failing, the check becomes wider for those that follow, until one passes.
module internal TimestampCheck =
    let private least = Time.seconds 2

    /// An echo may be of any age from here on.
    let private anything = Time.seconds 1024

    /// The longest reach before the peer has echoed our clock: only slow paths need more than the least.
    let private longestAtFirst = Time.seconds 64

    /// A peer that confirms the SYN-ACK at once is known by that, however long the path is.
    let private atOnce = Time.milliseconds 50

    /// A clock may be coarse.
    let private coarseness = Time.milliseconds 50

    /// Packets that fail count once in two round trips, so that a peer can respond in between, but within these limits.
    let private strayEvery = Time.milliseconds 50
    let private strayEveryAtMost = Time.seconds 1

    /// At first there are fewer guesses.
    let private strayEveryAtFirst = Time.milliseconds 200

    /// The check becomes wider from this packet on.
    let private manyStrays = 3

    /// More forged acknowledgements than this, before the peer has echoed our clock at all, are not the peer's.
    let private mostStraysAtFirst = 16

    let create (offset: uint32) handshakeOffset incoming (now: Instant) : Clocks =
        { HandshakeUntil = if incoming then Time.never else now
          Reach = least
          StrayAt = Time.never
          PeerStampAt = now
          PeerStamp = 0u
          Strays = 0
          Offset = offset
          HandshakeOffset = handshakeOffset
          IsIncoming = incoming
          Echoed = false }

    /// Whether a packet has no echo: its sender has received nothing, or measures nothing.
    let private isWithout (difference: uint32) = difference = 0u || difference = 0x7FFFFFFFu

    /// How long ago, by our clock, the packet's echo was sent under `offset`. It wraps.
    let private age offset (at: Instant) (header: inref<Header>) =
        Time.stamp at + offset - (header.Timestamp - header.TimestampDifference)

    /// A clock may be coarse, or fast: an eighth of the reach lies in the future.
    let private isWithin (reach: Duration) (age: uint32) =
        let ahead = uint32 (int64 reach / 8L)
        reach >= anything || age + ahead <= uint32 (int64 reach) + ahead

    /// Whether the peer's clock has gone on by the time that has passed since its last packet.
    let private isSteady (at: Instant) (header: inref<Header>) (clocks: inref<Clocks>) =
        let expected = clocks.PeerStamp + Time.stamp (at - clocks.PeerStampAt)
        isWithin least (expected - header.Timestamp) || isWithin least (header.Timestamp - expected)

    /// The address of an incoming stream might be forged until it has echoed our clock.
    let isUnproven (clocks: inref<Clocks>) = clocks.IsIncoming && not clocks.Echoed

    /// Whether another packet has failed a moment before.
    let private isHeldBack (rtt: Rtt) (at: Instant) (clocks: inref<Clocks>) =
        let wait =
            if isUnproven &clocks then
                strayEveryAtFirst
            else
                max strayEvery (min strayEveryAtMost (2L * rtt.Smoothed))

        clocks.StrayAt <> Time.never && at - clocks.StrayAt < wait

    // ---- Half-open streams ----

    /// Whether an acknowledgement shows that its sender has received our SYN-ACK, which was sent at `first` and again at `last`. `strict`
    /// halves the time, for a packet of which more is uncertain.
    let confirms strict (first: Instant) (last: Instant) (at: Instant) (header: inref<Header>) (clocks: inref<Clocks>) =
        let age = age clocks.HandshakeOffset at &header
        let most = if strict then least / 2L else least
        let follows (sent: Instant) = Time.stamp (at - sent) - age <= uint32 (int64 atOnce)

        not (isWithout header.TimestampDifference)
        && (age + uint32 (int64 coarseness) <= uint32 (int64 (most + coarseness))
            || follows first
            || follows last)

    /// The round trip of the SYN-ACK that a packet answers; 0 if unknown.
    let handshakeRoundTrip (at: Instant) (header: inref<Header>) (clocks: inref<Clocks>) : Duration =
        let age = Time.microseconds (int64 (age clocks.HandshakeOffset at &header))
        if isWithout header.TimestampDifference || age > least then 0L<us> else age

    /// Takes the first packet of a peer, which confirms the handshake.
    let establish (at: Instant) (header: inref<Header>) (clocks: byref<Clocks>) =
        clocks.PeerStamp <- header.Timestamp
        clocks.PeerStampAt <- at
        clocks.Strays <- 0
        clocks.StrayAt <- Time.never

        if clocks.IsIncoming then
            let roundTrip = int64 (age clocks.HandshakeOffset at &header) * 1L<us>
            clocks.Reach <- max least (2L * roundTrip)

    // ---- Established streams ----

    /// Whether a packet passes, and changes nothing that is known of the clocks but the peer's last time stamp: nearly every one does.
    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    let isOrdinary (at: Instant) (header: inref<Header>) (clocks: inref<Clocks>) =
        let expected = clocks.PeerStamp + Time.stamp (at - clocks.PeerStampAt)

        clocks.Echoed
        && clocks.Strays = 0
        && clocks.Reach = least
        && not (isWithout header.TimestampDifference)
        && age clocks.Offset at &header <= uint32 (int64 least / 2L)
        && expected - header.Timestamp + uint32 (int64 least) <= uint32 (2L * int64 least)

    /// Which clock a packet echoes. `sentAt` is when we last sent something: a peer may echo the last packet that it has received, however
    /// long ago that was.
    let echo (rtt: Rtt) (sentAt: Instant) (at: Instant) (header: inref<Header>) (clocks: inref<Clocks>) =
        if isWithout header.TimestampDifference then
            if clocks.Echoed || clocks.IsIncoming then Echo.Stray else Echo.Absent
        elif isUnproven &clocks && isHeldBack rtt at &clocks then
            // So that guesses are few. Packets that a machine has slept through come at once, too, and are as old as the first.
            Echo.Stray
        else
            let reach = max (max clocks.Reach (2L * rtt.Smoothed)) (at - sentAt + least)

            let currentReach = if isUnproven &clocks then min longestAtFirst reach else reach

            if clocks.Echoed && clocks.Strays < manyStrays && not (isSteady at &header &clocks) then
                Echo.Stray
            elif isWithin currentReach (age clocks.Offset at &header) then
                Echo.Current
            elif at < clocks.HandshakeUntil && isWithin reach (age clocks.HandshakeOffset at &header) then
                Echo.Handshake
            else
                Echo.Stray

    /// The round trip of the newest packet that the peer had received when it sent one that has passed, without the time in between (as with
    /// TCP's time stamps, RFC 7323, 4): it is certain also where a packet was sent twice. 0 if unknown.
    let roundTrip echo (at: Instant) (header: inref<Header>) (clocks: inref<Clocks>) : Duration =
        if echo = Echo.Current then
            let age = Time.microseconds (int64 (age clocks.Offset at &header))
            // What lies a little ahead of our clock seems to be very old.
            if age > longestAtFirst then 0L<us> else max 1L<us> age
        else
            0L<us>

    [<MethodImpl(MethodImplOptions.AggressiveInlining)>]
    let acceptOrdinary (at: Instant) (header: inref<Header>) (clocks: byref<Clocks>) =
        clocks.PeerStamp <- header.Timestamp
        clocks.PeerStampAt <- at

    let private acceptFresh echo (at: Instant) (header: inref<Header>) (clocks: byref<Clocks>) =
        acceptOrdinary at &header &clocks

        if echo <> Echo.Absent then
            let offset = if echo = Echo.Current then clocks.Offset else clocks.HandshakeOffset
            let age = int64 (age offset at &header) * 1L<us>
            let before = if clocks.Strays > 0 then least else clocks.Reach - clocks.Reach / 32L
            // What lies a little ahead of our clock seems to be very old.
            clocks.Reach <- max (max least before) (if age > anything then least else 2L * age)

        if echo = Echo.Current && not clocks.Echoed then
            clocks.Echoed <- true
            if clocks.IsIncoming then clocks.HandshakeUntil <- at + least

        clocks.Strays <- 0
        clocks.StrayAt <- Time.never

    /// Takes a packet that has passed. A copy of old data that passes since another packet has failed tells nothing of
    /// the clocks: the other one's retransmission would fail as it did.
    let accept isCopy echo (at: Instant) (header: inref<Header>) (clocks: byref<Clocks>) =
        if not isCopy || clocks.Strays = 0 then acceptFresh echo at &header &clocks

    /// Takes a packet that has failed; `isNew` unless it is an old copy. Whether it is to be answered, in this step.
    let reject isNew rtt (now: Instant) (clocks: byref<Clocks>) =
        if isHeldBack rtt now &clocks then
            false
        else
            clocks.StrayAt <- now
            clocks.Strays <- clocks.Strays + 1

            // Nothing is made easier for a peer whose address might be forged.
            if isNew && clocks.Strays >= manyStrays && not (isUnproven &clocks) then
                clocks.Reach <- min anything (4L * clocks.Reach)

            true

    /// Takes a RESET that may be the peer's. It does not widen the check: the STATE that answers it is not answered by a peer that has not sent
    /// it. Whether it is to be answered, in this step.
    let challenge rtt (now: Instant) (clocks: byref<Clocks>) =
        if isHeldBack rtt now &clocks then
            false
        else
            clocks.StrayAt <- now
            true

    /// Whether a peer that responds with this time stamp has received the STATE that has answered the last packet that failed.
    let isResponse (stamp: uint32) (clocks: inref<Clocks>) =
        clocks.StrayAt <> Time.never && stamp = Time.stamp clocks.StrayAt + clocks.Offset

    /// Whether the packets of a stream cannot be those of the peer that its address belongs to.
    let isForged (clocks: inref<Clocks>) = isUnproven &clocks && clocks.Strays > mostStraysAtFirst
