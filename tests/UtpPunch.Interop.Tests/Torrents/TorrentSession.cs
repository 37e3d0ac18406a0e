using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>Our side of a connection about one torrent: it downloads everything from a seed, or uploads what the peer requests.</summary>
internal sealed class TorrentSession(UtpStream stream, Torrent torrent)
{
    // 16 KiB is what peers request and grant. A window of a megabyte keeps the path full.
    private const int BlockLength = 16 * 1024;
    private const int MostRequested = 64;

    private readonly PeerWire _wire = new(stream);

    /// <summary>Downloads the content.</summary>
    public async Task<byte[]> LeechAsync()
    {
        await _wire.ShakeHandsAsync(torrent.InfoHash, isFirst: !stream.IsIncoming);
        var content = new byte[torrent.Content.Length];
        for (var (requested, received, isUnchoked) = (0, 0, false); received < content.Length;)
        {
            var (kind, payload) = await _wire.ReadAsync() ?? throw new EndOfStreamException($"the seed ends after {received} bytes");
            switch (kind)
            {
                case PeerMessage.Bitfield:
                    Check.Equal(Everything().AsSpan(), payload, "the pieces of the seed");
                    await _wire.WriteAsync(PeerMessage.Interested, []);
                    break;
                case PeerMessage.Unchoke:
                    isUnchoked = true;
                    break;
                case PeerMessage.Piece:
                    received += Keep(content, payload);
                    break;
                default:
                    throw new InvalidDataException($"a seed sent {kind}");
            }

            while (isUnchoked && requested < content.Length && requested - received < MostRequested * BlockLength)
            {
                var length = Math.Min(BlockLength, content.Length - requested);
                await _wire.WriteAsync(PeerMessage.Request, [requested / Torrent.PieceLength, requested % Torrent.PieceLength, length]);
                requested += length;
            }
        }

        return content;
    }

    /// <summary>Uploads what the peer requests, until it ends.</summary>
    public async Task SeedAsync()
    {
        await _wire.ShakeHandsAsync(torrent.InfoHash, isFirst: !stream.IsIncoming);
        await _wire.WriteAsync(PeerMessage.Bitfield, [], Everything());
        while (await _wire.ReadAsync() is var (kind, payload))
        {
            switch (kind)
            {
                case PeerMessage.Interested:
                    await _wire.WriteAsync(PeerMessage.Unchoke, []);
                    break;
                case PeerMessage.Request:
                    var (piece, offset, length) = (PeerWire.Number(payload, 0), PeerWire.Number(payload, 1), PeerWire.Number(payload, 2));
                    var block = torrent.Content.AsMemory((piece * Torrent.PieceLength) + offset, length);
                    await _wire.WriteAsync(PeerMessage.Piece, [piece, offset], block);
                    break;
                case PeerMessage.Bitfield or PeerMessage.Have or PeerMessage.NotInterested or PeerMessage.Cancel:
                    break;
                default:
                    throw new InvalidDataException($"a leecher sent {kind}");
            }
        }
    }

    /// <summary>Waits for the end of a peer that has nothing more to send.</summary>
    public async Task ReadEndAsync()
    {
        var next = await _wire.ReadAsync();
        Check.That(next is null, $"the peer ends, instead of sending {next?.Kind}");
    }

    // The number of bytes that a block adds to the content.
    private static int Keep(byte[] content, byte[] payload)
    {
        var (piece, offset) = (PeerWire.Number(payload, 0), PeerWire.Number(payload, 1));
        var block = payload.AsSpan(8);
        block.CopyTo(content.AsSpan((piece * Torrent.PieceLength) + offset));
        return block.Length;
    }

    // The last bits of the last byte stand for no piece.
    private byte[] Everything()
    {
        var bits = new byte[(torrent.PieceCount + 7) / 8];
        for (var piece = 0; piece < torrent.PieceCount; piece++)
        {
            bits[piece / 8] |= (byte)(0x80 >> (piece % 8));
        }

        return bits;
    }
}
