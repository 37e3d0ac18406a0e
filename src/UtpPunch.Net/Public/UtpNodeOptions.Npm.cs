namespace UtpPunch;

// The options of the npm package.
public sealed partial class UtpNodeOptions
{
    /// <summary>
    /// Converts the options of the npm package <c>utp-punch</c>, with its defaults, to the options of a node that uses its dialect.
    /// </summary>
    /// <param name="bufferSize">The size of its ring in each direction, in packets; at least 2. One packet fewer may be in flight, but at
    /// most 1000. The buffers of the node hold as many packets as the ring, and at least 64 KiB.</param>
    /// <param name="mtu">The payload of a packet, in bytes; 80 to 65487. <see cref="PacketSize"/> includes the header of 20 bytes.</param>
    /// <param name="timeout">In the npm package, the time after which a silent socket emits a timeout, and for which it waits when it
    /// ends; <see langword="null"/> for 5 s. Here, <see cref="LingerTimeout"/> and <see cref="ConnectTimeout"/>. It does not end a silent stream of the
    /// npm package, so that <see cref="IdleTimeout"/> keeps its default.</param>
    /// <param name="resend">In the npm package, the interval at which everything in flight is retransmitted; <see langword="null"/> for 100 ms. Here,
    /// <see cref="MinRetransmitTimeout"/> and <see cref="InitialRetransmitTimeout"/>; the timeout adapts to the path.</param>
    /// <param name="keepAlive"><see cref="KeepAliveInterval"/>; <see langword="null"/> for 1 s.</param>
    /// <returns>New options.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A time is less than 1 ms, <paramref name="bufferSize"/> is less than 2, or
    /// <paramref name="mtu"/> is out of its range.</exception>
    public static UtpNodeOptions FromNpm(
        int bufferSize = 64, int mtu = 1000, TimeSpan? timeout = null, TimeSpan? resend = null, TimeSpan? keepAlive = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bufferSize, 2);
        UtpNodeOptionsCheck.Between(
            mtu,
            UtpNodeOptionsCheck.LeastPacket - UtpNodeOptionsCheck.HeaderLength,
            UtpNodeOptionsCheck.MostPacket - UtpNodeOptionsCheck.HeaderLength,
            nameof(mtu));
        var silence = timeout ?? TimeSpan.FromSeconds(5);
        UtpNodeOptionsCheck.Positive(silence, nameof(timeout));
        var interval = resend ?? TimeSpan.FromMilliseconds(100);
        UtpNodeOptionsCheck.Positive(interval, nameof(resend));
        var idle = keepAlive ?? TimeSpan.FromSeconds(1);
        UtpNodeOptionsCheck.Positive(idle, nameof(keepAlive));
        var packetSize = mtu + UtpNodeOptionsCheck.HeaderLength;
        var buffer = (int)Math.Clamp(
            Math.Max(bufferSize, UtpNodeOptionsCheck.PacketsPerBuffer) * (long)packetSize,
            UtpNodeOptionsCheck.LeastBuffer,
            UtpNodeOptionsCheck.MostBuffer);
        return new UtpNodeOptions
        {
            Dialect = UtpDialect.Npm,
            PacketSize = packetSize,
            PacketWindow = Math.Min(bufferSize - 1, UtpNodeOptionsCheck.MostWindow),
            SendBufferSize = buffer,
            ReceiveBufferSize = buffer,
            ConnectTimeout = silence,
            LingerTimeout = silence,
            InitialRetransmitTimeout = interval,
            MinRetransmitTimeout = interval,
            KeepAliveInterval = idle,
        };
    }
}
