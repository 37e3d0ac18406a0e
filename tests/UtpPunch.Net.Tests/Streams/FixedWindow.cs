using System.Collections.Concurrent;
using UtpPunch.Protocol;

namespace UtpPunch.Tests;

/// <summary>What the controllers of a test have seen. They share it, although they are values: a test only reads it.</summary>
internal sealed class Observations
{
    private int _samples;
    private int _mostInFlight;

    public int Samples => Volatile.Read(ref _samples);

    public int MostInFlight => Volatile.Read(ref _mostInFlight);

    /// <summary>Where the controllers have started from.</summary>
    public ConcurrentQueue<CongestionStart> Starts { get; } = [];

    public void Add(in CongestionSample sample)
    {
        _samples++;
        _mostInFlight = Math.Max(_mostInFlight, sample.FlightBefore);
    }
}

/// <summary>A controller as an application writes one: a window of some packets and, if it has one, a pacing rate.</summary>
internal sealed class FixedWindow(int packets, long rate, int packet, Observations seen) : ICongestionController
{
    public static UtpCongestionControl Create(int packets, Observations seen, long rate = long.MaxValue) =>
        UtpCongestionControl.Create("fixed-window", from =>
        {
            seen.Starts.Enqueue(from);
            return new FixedWindow(packets, rate, from.Packet, seen);
        });

    public int Window => packets * packet;

    public long PacingRate => rate;

    public string Phase => "fixed";

    public bool IsLossTolerated => false;

    public ICongestionController Observe(in CongestionSample sample)
    {
        seen.Add(in sample);
        return this;
    }

    public ICongestionController TimedOut(int flight) => this;

    public ICongestionController Resized(int packet) => new FixedWindow(packets, rate, packet, seen);

    public ICongestionController Restarted(long now, long roundTrip) => this;
}
