using System.Buffers.Binary;
using System.Globalization;
using System.Text;

/// <summary>The peer protocol of BitTorrent (BEP 3) on a stream, of which only extension messages (BEP 10) matter here.</summary>
internal sealed class PeerWire(Stream stream)
{
    private const byte Extended = 20;
    private const int LongestMessage = 1 << 20;

    private static readonly byte[] s_protocol = [19, .. "BitTorrent protocol"u8, 0, 0, 0, 0, 0, 16, 0, 0]; // 16: knows BEP 10

    /// <summary>Exchanges the handshakes of BEP 3; the id of the peer.</summary>
    public async Task<string> ShakeHandsAsync(byte[] infoHash, CancellationToken cancellationToken)
    {
        await stream.WriteAsync((byte[])[.. s_protocol, .. infoHash, .. "-UP0001-"u8, .. Guid.NewGuid().ToByteArray()[..12]], cancellationToken);
        var theirs = new byte[s_protocol.Length + 40];
        await stream.ReadExactlyAsync(theirs, cancellationToken);
        var isTorrent = theirs.AsSpan(0, 20).SequenceEqual(s_protocol.AsSpan(0, 20)) && theirs.AsSpan(28, 20).SequenceEqual(infoHash);
        return isTorrent && (theirs[25] & 16) != 0
            ? Encoding.Latin1.GetString(theirs, 48, 8)
            : throw new InvalidDataException("The peer has not got this torrent, or does not know BEP 10.");
    }

    /// <summary>Sends an extension message. Number 0 is the handshake of BEP 10; others are those that the peer has told in its own.</summary>
    public async Task WriteAsync(byte number, ReadOnlyMemory<byte> payload, CancellationToken cancellationToken)
    {
        var message = new byte[6 + payload.Length];
        BinaryPrimitives.WriteInt32BigEndian(message, 2 + payload.Length);
        (message[4], message[5]) = (Extended, number);
        payload.CopyTo(message.AsMemory(6));
        await stream.WriteAsync(message, cancellationToken);
    }

    /// <summary>Waits for the next extension message, and skips all others.</summary>
    public async Task<(byte Number, byte[] Payload)> ReadAsync(CancellationToken cancellationToken)
    {
        var prefix = new byte[4];
        while (true)
        {
            await stream.ReadExactlyAsync(prefix, cancellationToken);
            var length = BinaryPrimitives.ReadInt32BigEndian(prefix);
            var message = length is >= 0 and <= LongestMessage ? new byte[length] : throw new InvalidDataException($"A message has {length} bytes.");
            await stream.ReadExactlyAsync(message, cancellationToken);
            if (message is [Extended, var number, ..])
            {
                return (number, message[2..]);
            }
        }
    }

    /// <summary>The number that a handshake of BEP 10, a bencoded dictionary, has for an extension in its dictionary `m`; 0 if it has none.</summary>
    public static byte NumberOf(string extension, ReadOnlySpan<byte> handshake)
    {
        var (text, depth, isInside) = ("", 0, false);
        while (!handshake.IsEmpty)
        {
            var length = 1;
            switch (handshake[0])
            {
                case (byte)'d' or (byte)'l':
                    isInside |= ++depth == 2 && text == "m" && handshake[0] == 'd';
                    break;
                case (byte)'e':
                    isInside &= --depth > 1;
                    break;
                case (byte)'i':
                    length = handshake.IndexOf((byte)'e') + 1;
                    if (isInside && depth == 2 && text == extension && byte.TryParse(handshake[1..Math.Max(1, length - 1)], CultureInfo.InvariantCulture, out var number))
                    {
                        return number;
                    }

                    break;
                default:
                    var colon = handshake.IndexOf((byte)':');
                    length = colon > 0 && int.TryParse(handshake[..colon], NumberStyles.None, CultureInfo.InvariantCulture, out var size) ? colon + 1 + size : 0;
                    text = length > colon && length <= handshake.Length ? Encoding.Latin1.GetString(handshake[(colon + 1)..length]) : "";
                    break;
            }

            if (length <= 0 || length > handshake.Length)
            {
                return 0;                                   // not bencoded
            }

            handshake = handshake[length..];
        }

        return 0;
    }
}
