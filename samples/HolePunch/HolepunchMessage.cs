using System.Buffers.Binary;
using System.Net;

/// <summary>What a message of BEP 55 is for.</summary>
internal enum HolepunchKind : byte
{
    /// <summary>To the relay: introduce me to this peer.</summary>
    Rendezvous = 0,

    /// <summary>From the relay: open a connection to this peer now, as it does to you.</summary>
    Connect = 1,

    /// <summary>From the relay: it cannot introduce the two.</summary>
    Error = 2,
}

/// <summary>Why a relay cannot introduce two peers.</summary>
internal enum HolepunchError : uint
{
    None = 0,

    /// <summary>The endpoint is no valid one.</summary>
    NoSuchPeer = 1,

    /// <summary>The relay is not connected to the peer.</summary>
    NotConnected = 2,

    /// <summary>The peer does not support BEP 55.</summary>
    NoSupport = 3,

    /// <summary>The peer is who asks, or the relay.</summary>
    NoSelf = 4,
}

/// <summary>A message of ut_holepunch (BEP 55): kind 1, address family 1 (0: IPv4, 1: IPv6), address 4 or 16, port 2, and in errors the code 4.</summary>
internal sealed record HolepunchMessage(HolepunchKind Kind, IPEndPoint Peer, HolepunchError Error = HolepunchError.None)
{
    public byte[] ToBytes()
    {
        var address = Peer.Address.GetAddressBytes();
        var bytes = new byte[2 + address.Length + 2 + 4];
        bytes[0] = (byte)Kind;
        bytes[1] = (byte)(address.Length == 4 ? 0 : 1);
        address.CopyTo(bytes, 2);
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(2 + address.Length), (ushort)Peer.Port);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(4 + address.Length), (uint)Error);
        return bytes;
    }

    /// <summary>Reads a message; null if it is none. libtorrent omits the code where there is no error.</summary>
    public static HolepunchMessage? Parse(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < 2 || bytes[0] > (byte)HolepunchKind.Error || bytes[1] > 1)
        {
            return null;
        }

        var length = bytes[1] == 0 ? 4 : 16;
        if (bytes.Length < 4 + length)
        {
            return null;
        }

        var peer = new IPEndPoint(new IPAddress(bytes.Slice(2, length)), BinaryPrimitives.ReadUInt16BigEndian(bytes[(2 + length)..]));
        var code = bytes[(4 + length)..];
        return new((HolepunchKind)bytes[0], peer, code.Length < 4 ? HolepunchError.None : (HolepunchError)BinaryPrimitives.ReadUInt32BigEndian(code));
    }
}
