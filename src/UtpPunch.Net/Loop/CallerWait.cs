namespace UtpPunch;

/// <summary>
/// How a caller that leads waits on the socket. To fall asleep and to wake up takes a good part of a short wait. While answers come
/// sooner than that, the caller polls the socket for a moment before it sleeps. For the leader.
/// </summary>
internal sealed class CallerWait(IDatagramTransport transport)
{
    // Microseconds.
    private const long LongWait = 500;
    private const long LongestSpin = 20;

    // Where threads share one processor, no wait is short.
    private static readonly long s_shortWait = Environment.ProcessorCount > 1 ? 50 : 0;

    private long _usualWait = LongWait;

    public void Wait(long microseconds)
    {
        var begun = Clock.Now;
        var spins = _usualWait < s_shortWait && microseconds > LongestSpin;
        var inVain = spins && !Spin(begun);
        if (!spins || inVain)
        {
            transport.Wait(microseconds);
        }

        // After a spin in vain, some short waits must follow before the next one.
        var took = inVain ? LongWait : Math.Min(Clock.Now - begun, LongWait);
        _usualWait += (took - _usualWait) / 4;
    }

    private bool Spin(long begun)
    {
        do
        {
            if (transport.Wait(0))
            {
                return true;
            }
        }
        while (Clock.Now - begun < LongestSpin);

        return false;
    }
}
