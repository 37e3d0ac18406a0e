using System.Net;

namespace UtpPunch.Tests;

/// <summary>How long a transport waits. If a wait ends early, the loop is busy until its deadline.</summary>
public static class WaitTimes
{
    [Fact("a wait without datagrams takes its whole time, to the microsecond, and not much longer")]
    public static void TakeTheirTime()
    {
        using var transport = Bind();
        foreach (var microseconds in new long[] { 1, 300, 999, 1001, 1500, 2999, 20_001 })
        {
            var shortest = long.MaxValue;
            for (var turn = 0; turn < 10; turn++)
            {
                var took = Wait(transport, microseconds);
                Check.That(took >= microseconds, $"a wait of {microseconds} µs took {took}");
                shortest = Math.Min(shortest, took);
            }

            // The managed transport waits in whole milliseconds.
            Check.That(shortest < microseconds + 5000, $"a wait of {microseconds} µs took {shortest} at least");
        }
    }

    [Fact("any number of wakes ends one wait, and the next wait takes its whole time")]
    public static void WakesAreCleared()
    {
        using var transport = Bind();
        for (var turn = 0; turn < 10; turn++)
        {
            for (var wakes = 0; wakes <= turn; wakes++)
            {
                transport.Wake();
            }

            Check.That(Wait(transport, 5_000_000) < 1_000_000, "the wake ends the wait");
            Check.That(Wait(transport, 10_000) >= 10_000, "nothing is left of the wake");
        }
    }

    private static long Wait(IDatagramTransport transport, long microseconds)
    {
        transport.Prepare();
        var begun = Clock.Now;
        transport.Wait(microseconds);
        var took = Clock.Now - begun;
        transport.Receive([], []);
        return took;
    }

    private static IDatagramTransport Bind() =>
        TransportChoice.Bind(new UtpNodeOptions { LocalEndPoint = new IPEndPoint(IPAddress.Loopback, 0) });
}
