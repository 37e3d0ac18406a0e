namespace UtpPunch;

/// <summary>Sockets that the core does not use any more. A thread may still wait on them, so they are disposed when none does.</summary>
internal sealed class ClosedChannels
{
    private readonly List<UdpChannel> _channels = [];

    public void Add(UdpChannel channel)
    {
        channel.IsOpen = false;
        _channels.Add(channel);
    }

    /// <summary>Disposes them. No thread waits on them any more.</summary>
    public void DisposeAll()
    {
        foreach (var channel in _channels)
        {
            channel.Socket.Dispose();
        }

        _channels.Clear();
    }
}
