namespace UtpPunch.Protocol

/// Round-trip time and the retransmission time-out that follows from it, as in RFC 6298.
[<Struct; NoComparison>]
type internal Rtt =
    {
        Smoothed: Duration
        Variance: Duration
        /// The shortest sample so far, and the last; 0 before the first one.
        Least: Duration
        Latest: Duration
        /// How often the time-out was doubled since the last sample. Not every acknowledgement takes that back (Karn and Partridge):
        /// on a path that is slower than the time-out every packet is retransmitted, and there would never be a sample.
        Backoff: int
    }

module internal Rtt =
    let none = { Smoothed = 0L<us>; Variance = 0L<us>; Least = 0L<us>; Latest = 0L<us>; Backoff = 0 }

    let isKnown (rtt: Rtt) = rtt.Least > 0L<us>

    /// On a shorter path, such as a loopback device, windows of 1 MiB carry 8 Gbit/s. Larger ones would only wait in memory, outside of caches.
    let shortPath = Time.milliseconds 1

    /// A packet that was sent once (Karn's rule) was acknowledged after `sample`.
    let observe (sample: Duration) (rtt: Rtt) =
        let sample = max 1L<us> sample

        if not (isKnown rtt) then
            { Smoothed = sample; Variance = sample / 2L; Least = sample; Latest = sample; Backoff = 0 }
        else
            { Smoothed = rtt.Smoothed + (sample - rtt.Smoothed) / 8L
              Variance = rtt.Variance + (abs (sample - rtt.Smoothed) - rtt.Variance) / 4L
              Least = min rtt.Least sample
              Latest = sample
              Backoff = 0 }

    /// The age at which a packet counts as lost rather than late, once others behind it have arrived (RFC 8985, 6.2: RACK).
    let overdueAfter (rtt: Rtt) : Duration =
        rtt.Smoothed + max (Time.milliseconds 1) (max (4L * rtt.Variance) (rtt.Least / 4L))

    /// A retransmitted packet was acknowledged `age` after its last transmission. If that is an ordinary round trip, the path has not
    /// changed, and the doubled time-out is taken back; if not, the first transmission may have been answered (Karn).
    let observeRetransmitted (age: Duration) (rtt: Rtt) =
        if isKnown rtt && age >= rtt.Least / 2L && age <= overdueAfter rtt then
            { rtt with Backoff = 0 }
        else
            rtt

    /// On a path without jitter the variance becomes 0, and each delayed acknowledgement would come too late (RFC 6298, 2.3: G).
    let private granularity = Time.milliseconds 50

    /// RFC 6298, 2.4 and 5.5 with uTP's floor: at least `MinRto`, doubled for each time-out in a row up to `MaxRto`.
    let timeout (options: StreamOptions) (rtt: Rtt) : Duration =
        let basis =
            if isKnown rtt then
                // One sample across a sleep makes a variance of many seconds; a round trip of that length is rarer.
                let most = max options.MaxRto (rtt.Smoothed + granularity)
                max options.MinRto (min most (rtt.Smoothed + max granularity (4L * rtt.Variance)))
            else
                options.InitialRto

        max basis (min options.MaxRto (basis * (1L <<< min rtt.Backoff 10)))

    /// When a loss probe is due (RFC 9002, 6.2.1: PTO): a round trip, the spread of the samples, and the peer's delayed acknowledgement.
    let probeAfter (delayedAck: Duration) (rtt: Rtt) : Duration =
        rtt.Smoothed + max (Time.milliseconds 1) (4L * rtt.Variance) + delayedAck
