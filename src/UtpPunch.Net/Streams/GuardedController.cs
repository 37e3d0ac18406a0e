using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// A controller of the application's own. What it throws, and a value that no stream could work with, ends the node with a message that names
/// it. Its values are read once after each call, on the node's thread: statistics, for which any thread may ask, have copies.
/// </summary>
internal sealed class GuardedController : ICongestionController
{
    private readonly string _name;
    private readonly ICongestionController _controller;
    private readonly int _packet;

    private GuardedController(string name, ICongestionController? controller, int packet)
    {
        _name = name;
        _controller = controller ?? throw new InvalidOperationException("it returned no controller");
        _packet = packet;
        var window = controller.Window;
        Window = window > 0 ? Math.Max(window, packet) : throw new InvalidOperationException($"its window is {window} bytes; the least is one packet");
        PacingRate = controller.PacingRate;
        if (PacingRate <= 0)
        {
            throw new InvalidOperationException($"its pacing rate is {PacingRate} bytes per second; the least is 1");
        }

        Phase = controller.Phase ?? "";
        IsLossTolerated = controller.IsLossTolerated;
    }

    public int Window { get; }

    public long PacingRate { get; }

    public string Phase { get; }

    public bool IsLossTolerated { get; }

    public static ICongestionController Start(string name, Func<CongestionStart, ICongestionController> start, CongestionStart from)
    {
        try
        {
            return new GuardedController(name, start(from), from.Packet);
        }
        catch (Exception error)
        {
            throw Failed(name, error);
        }
    }

    public ICongestionController Observe(in CongestionSample sample)
    {
        try
        {
            return Next(_controller.Observe(in sample), _packet);
        }
        catch (Exception error)
        {
            throw Failed(_name, error);
        }
    }

    public ICongestionController TimedOut(int flight)
    {
        try
        {
            return Next(_controller.TimedOut(flight), _packet);
        }
        catch (Exception error)
        {
            throw Failed(_name, error);
        }
    }

    public ICongestionController Resized(int packet)
    {
        try
        {
            return Next(_controller.Resized(packet), packet);
        }
        catch (Exception error)
        {
            throw Failed(_name, error);
        }
    }

    public ICongestionController Restarted(long now, long roundTrip)
    {
        try
        {
            return Next(_controller.Restarted(now, roundTrip), _packet);
        }
        catch (Exception error)
        {
            throw Failed(_name, error);
        }
    }

    private GuardedController Next(ICongestionController? controller, int packet) => new(_name, controller, packet);

    private static InvalidOperationException Failed(string name, Exception cause) =>
        new($"the congestion control '{name}' failed: {cause.GetType().Name}: {cause.Message}", cause);
}
