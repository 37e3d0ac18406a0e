using UtpPunch.Protocol;

/// <summary>Sends at one rate, whatever the path can carry. An immutable value: each call returns the next one.</summary>
internal sealed class FixedRateController(long rate, int packet, long roundTrip) : ICongestionController
{
    private const int FirstPackets = 10; // RFC 6928, before the first round trip is measured

    public long PacingRate => rate;

    // Twice what is in flight at that rate, so that acknowledgements may be late.
    public int Window => (int)Math.Clamp(2 * rate * roundTrip / 1_000_000, FirstPackets * packet, int.MaxValue);

    public string Phase => roundTrip == 0 ? "start" : "fixed";

    public bool IsLossTolerated => false;

    public ICongestionController Observe(in CongestionSample sample) => new FixedRateController(rate, packet, sample.Smoothed);

    public ICongestionController TimedOut(int flight) => this;

    public ICongestionController Resized(int packet) => new FixedRateController(rate, packet, roundTrip);

    public ICongestionController Restarted(long now, long roundTrip) => this;
}
