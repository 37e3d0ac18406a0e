using UtpPunch.Protocol;

namespace UtpPunch.Tests;

/// <summary>What an application's controller does wrong.</summary>
internal enum ControllerFault
{
    HasSmallWindow,
    ThrowsAtStart,
    ThrowsAtSample,
    ReturnsNull,
    HasNoWindow,
    HasNoRate,
}

/// <summary>A controller with a mistake.</summary>
internal sealed class FaultyController(ControllerFault fault) : ICongestionController
{
    public const string Name = "faulty-1";

    public static UtpCongestionControl Create(ControllerFault fault) => UtpCongestionControl.Create(
        Name,
        _ => fault == ControllerFault.ThrowsAtStart ? throw new FormatException("the mistake") : new FaultyController(fault));

    public int Window => fault == ControllerFault.HasNoWindow ? 0 : 1;

    public long PacingRate => fault == ControllerFault.HasNoRate ? 0 : long.MaxValue;

    public string Phase => "faulty";

    public bool IsLossTolerated => false;

    public ICongestionController Observe(in CongestionSample sample) => fault switch
    {
        ControllerFault.ThrowsAtSample => throw new FormatException("the mistake"),
        ControllerFault.ReturnsNull => null!,
        _ => this,
    };

    public ICongestionController TimedOut(int flight) => this;

    public ICongestionController Resized(int packet) => this;

    public ICongestionController Restarted(long now, long roundTrip) => this;
}
