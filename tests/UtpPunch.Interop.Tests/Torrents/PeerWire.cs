using System.Buffers.Binary;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>The messages of the peer protocol (BEP 3) that the tests use, by their number on the wire.</summary>
internal enum PeerMessage : byte
{
    Choke = 0,
    Unchoke = 1,
    Interested = 2,
    NotInterested = 3,
    Have = 4,
    Bitfield = 5,
    Request = 6,
    Piece = 7,
    Cancel = 8,
}

/// <summary>The peer protocol of BitTorrent (BEP 3) on a stream, without encryption and extensions.</summary>
internal sealed class PeerWire(Stream stream)
{
    private const int HashLength = 20;
    private const int LongestMessage = 1 << 20;

    private static readonly byte[] s_protocol = [19, .. "BitTorrent protocol"u8];

    /// <summary>Sends our handshake, and checks that of the peer. The side that connects sends first.</summary>
    public async Task ShakeHandsAsync(byte[] infoHash, bool isFirst)
    {
        byte[] ours = [.. s_protocol, .. new byte[8], .. infoHash, .. "-UP0001-interop-test"u8];
        if (isFirst)
        {
            await stream.WriteAsync(ours);
        }

        var theirs = new byte[ours.Length];
        await stream.ReadExactlyAsync(theirs);
        Check.Equal(s_protocol.AsSpan(), theirs.AsSpan(0, s_protocol.Length), "the protocol of the handshake");
        Check.Equal(infoHash.AsSpan(), theirs.AsSpan(s_protocol.Length + 8, HashLength), "the torrent of the handshake");
        if (!isFirst)
        {
            await stream.WriteAsync(ours);
        }
    }

    /// <summary>The next message, or null at the end of the stream. Keep-alives are skipped.</summary>
    public async Task<(PeerMessage Kind, byte[] Payload)?> ReadAsync()
    {
        var prefix = new byte[4];
        int length;
        do
        {
            var count = await stream.ReadAtLeastAsync(prefix, prefix.Length, throwOnEndOfStream: false);
            if (count == 0)
            {
                return null;
            }

            Check.Equal(prefix.Length, count, "the length of a message's prefix");
            length = BinaryPrimitives.ReadInt32BigEndian(prefix);
        }
        while (length == 0);

        Check.That(length is > 0 and <= LongestMessage, $"a message has {length} bytes");
        var message = new byte[length];
        await stream.ReadExactlyAsync(message);
        return ((PeerMessage)message[0], message[1..]);
    }

    /// <summary>Sends a message: its numbers, then its data.</summary>
    public async Task WriteAsync(PeerMessage kind, int[] numbers, ReadOnlyMemory<byte> data = default)
    {
        var head = new byte[5 + (4 * numbers.Length)];
        BinaryPrimitives.WriteInt32BigEndian(head, head.Length - 4 + data.Length);
        head[4] = (byte)kind;
        for (var i = 0; i < numbers.Length; i++)
        {
            BinaryPrimitives.WriteInt32BigEndian(head.AsSpan(5 + (4 * i)), numbers[i]);
        }

        await stream.WriteAsync(head);
        await stream.WriteAsync(data);
    }

    /// <summary>The number at the given place of a payload: 0 is the first.</summary>
    public static int Number(byte[] payload, int place) => BinaryPrimitives.ReadInt32BigEndian(payload.AsSpan(4 * place));
}
