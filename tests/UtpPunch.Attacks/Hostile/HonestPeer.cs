using UtpPunch.Attacks.Hosts;
using UtpPunch.Protocol;

namespace UtpPunch.Attacks.Hostile;

/// <summary>An honest node in memory that opens streams to the victim, writes a pattern, and checks what is echoed.</summary>
internal sealed class HonestPeer
{
    private readonly Endpoint _victim;
    private readonly List<Event> _pending = [];
    private readonly List<(long Sent, long Received)> _streams = [];
    private Node _node;

    public HonestPeer(Endpoint endpoint, Endpoint victim, NodeOptions options, byte seed, long now)
    {
        (Endpoint, _victim) = (endpoint, victim);
        _node = NodeModule.Create(options, new Owned([.. Enumerable.Repeat(seed, 32)]), now);
    }

    public Endpoint Endpoint { get; }

    public int Opened { get; private set; }

    public int Closed { get; private set; }

    /// <summary>Bytes that are not those of the pattern.</summary>
    public long Wrong { get; private set; }

    public void Post(Event happened) => _pending.Add(happened);

    public void Dial()
    {
        const long Timeout = 60_000_000;
        _pending.Add(Event.NewConnect(2 * _streams.Count, _victim, Dialect.Bep29, Timeout));
        _streams.Add((0, 0));
    }

    /// <summary>Writes the next bytes of the pattern on a stream.</summary>
    public void Write(int stream)
    {
        var bytes = new byte[16];
        var (sent, received) = _streams[stream];
        Pattern.Fill(bytes, sent);
        _streams[stream] = (sent + bytes.Length, received);
        _pending.Add(Event.NewWrite(2 * stream, new Owned(bytes)));
    }

    /// <summary>Whether all bytes that were written on a stream were echoed.</summary>
    public bool IsComplete(int stream) => _streams[stream].Sent == _streams[stream].Received;

    /// <summary>Takes a step if something is due, and hands over its packets and its other datagrams. Whether it did.</summary>
    public bool Step(long now, Action<Endpoint, byte[]> send)
    {
        if (_pending.Count == 0 && NodeModule.Deadline(_node) > now)
        {
            return false;
        }

        var events = _pending.ToArray();
        _pending.Clear();
        (_node, var effects) = NodeModule.Step(now, events, _node);
        foreach (var effect in effects)
        {
            switch (effect)
            {
                case Effect.Send it:
                    Packets.ForEach(it.train, packet => send(it.remote, packet));
                    break;
                case Effect.SendDatagram it:
                    send(it.remote, it.datagram.Span.ToArray());
                    break;
                case Effect.Deliver it:
                    Take(it.connId / 2, Packets.Copy(it.payload));
                    _pending.Add(Event.NewConsumed(it.connId, it.payload.Length));
                    break;
                case Effect.Opened:
                    Opened++;
                    break;
                case Effect.Closed:
                    Closed++;
                    break;
            }
        }

        return true;
    }

    private void Take(int stream, byte[] bytes)
    {
        var (sent, received) = _streams[stream];
        Wrong += Pattern.CountWrong(bytes, received);
        _streams[stream] = (sent, received + bytes.Length);
    }
}

/// <summary>Copies what the core refers to for one step.</summary>
internal static class Packets
{
    public static void ForEach(Train train, Action<byte[]> action)
    {
        for (var index = 0; index < train.Count; index++)
        {
            var packet = new byte[train.LengthOf(index)];
            train.Write(index, packet);
            action(packet);
        }
    }

    public static Event Received(Endpoint source, byte[] datagram, long now) =>
        Event.NewReceived(source, Datagrams.One(new Borrowed(datagram), now));

    public static byte[] Copy(Payload payload)
    {
        var bytes = new byte[payload.Length];
        payload.CopyTo(0, bytes);
        return bytes;
    }
}
