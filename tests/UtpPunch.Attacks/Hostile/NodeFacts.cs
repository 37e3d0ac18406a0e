using UtpPunch.Attacks.Wire;
using UtpPunch.Protocol;

namespace UtpPunch.Attacks.Hostile;

/// <summary>What an attacker who sees all packets knows of a stream.</summary>
internal sealed class StreamFacts(Endpoint remote, ushort id)
{
    public Endpoint Remote { get; } = remote;

    /// <summary>The id that packets to the victim carry.</summary>
    public ushort Id { get; } = id;

    /// <summary>The last number of the peer, and what it has acknowledged.</summary>
    public ushort Seq { get; set; }

    public ushort Ack { get; set; }

    /// <summary>The victim's clock that its last packet has echoed.</summary>
    public uint Echo { get; set; }

    /// <summary>The victim's next number: a RESET that names it is genuine (RFC 5961).</summary>
    public ushort Next { get; set; }

    public bool IsSeen { get; set; }
}

/// <summary>What hostile datagrams to a node are made from.</summary>
internal sealed class NodeFacts
{
    private const int MaxReplays = 4096;

    private readonly Dictionary<(Endpoint, ushort), StreamFacts> _byId = [];
    private long _replayed;

    public List<StreamFacts> Streams { get; } = [];

    /// <summary>Packets of honest peers, the oldest overwritten first.</summary>
    public List<(Endpoint Source, byte[] Packet)> Replays { get; } = [];

    /// <summary>Packets of the victim's punches.</summary>
    public List<byte[]> Probes { get; } = [];

    /// <summary>The messages of the victim to its rendezvous.</summary>
    public List<byte[]> Registrations { get; } = [];

    /// <summary>The stream of an endpoint to which a RESET with an id belongs: it may carry either id of the stream. Null if there is none.</summary>
    public StreamFacts? Find(Endpoint remote, ushort id) =>
        _byId.GetValueOrDefault((remote, id)) ?? _byId.GetValueOrDefault((remote, (ushort)(id + 1)));

    /// <summary>A packet of an honest peer to the victim.</summary>
    public void NoteToVictim(Endpoint source, byte[] packet)
    {
        if (!Utp.TryRead(packet, out var header))
        {
            return;
        }

        // The opener of a stream sends the SYN under its id, and everything else under the next one.
        var id = header.Type == Utp.Syn ? (ushort)(header.Id + 1) : header.Id;
        if (!_byId.TryGetValue((source, id), out var stream))
        {
            if (header.Type != Utp.Syn)
            {
                // A RESET for what the attacker has begun in its name.
                return;
            }

            stream = new StreamFacts(source, id);
            _byId.Add((source, id), stream);
            Streams.Add(stream);
        }

        (stream.Seq, stream.Ack, stream.Echo) = (header.Seq, header.Ack, header.Stamp - header.Difference);
        if (Replays.Count < MaxReplays)
        {
            Replays.Add((source, packet));
        }
        else
        {
            Replays[(int)(_replayed++ % MaxReplays)] = (source, packet);
        }
    }

    /// <summary>A packet of the victim to an honest peer, which carries the opener's id.</summary>
    public void NoteFromVictim(Endpoint target, ReadOnlySpan<byte> packet)
    {
        // A RESET may answer what the attacker has sent.
        if (Utp.TryRead(packet, out var header) && header.Type != Utp.Reset && _byId.TryGetValue((target, (ushort)(header.Id + 1)), out var stream))
        {
            // A packet that was lost comes late.
            var next = (ushort)(header.Seq + (header.Type == Utp.Data ? 1 : 0));
            stream.Next = (short)(next - stream.Next) > 0 || !stream.IsSeen ? next : stream.Next;
            stream.IsSeen = true;
        }
    }

    /// <summary>A datagram of the victim that is not uTP.</summary>
    public void NoteDatagram(ReadOnlySpan<byte> datagram)
    {
        if (PunchMessages.IsProbe(datagram) && Probes.Count < MaxReplays)
        {
            Probes.Add(datagram.ToArray());
        }
        else if (PunchMessages.IsOurs(datagram) && Registrations.Count < MaxReplays)
        {
            Registrations.Add(datagram.ToArray());
        }
    }
}
