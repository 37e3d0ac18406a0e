using System.Buffers.Binary;

namespace UtpPunch.Attacks.Hostile;

/// <summary>The datagrams of docs/punching.md, written and read without the library.</summary>
internal static class PunchMessages
{
    public const int ProbeLength = 56;
    public const int RegisterLength = 128;
    public const byte Register = 1;
    public const byte Acknowledge = 2;
    public const byte Leave = 3;
    public const byte Observe = 4;
    public const byte Challenge = 0x81;
    public const byte Registered = 0x82;
    public const byte Introduce = 0x84;
    public const byte Go = 0x85;
    public const byte Ping = 0x87;

    /// <summary>Where the handle, the room, the cookie of a registration, and that of a challenge begin.</summary>
    public const int HandleAt = 5;
    public const int RoomAt = 13;
    public const int CookieAt = 45;
    public const int ChallengeAt = 14;
    public const int CookieLength = 16;
    public const int FirstProbe = 0x40;

    public static bool IsOurs(ReadOnlySpan<byte> datagram) => datagram.Length >= RoomAt && datagram.StartsWith("UPN1"u8);

    public static bool IsProbe(ReadOnlySpan<byte> datagram) =>
        IsOurs(datagram) && datagram.Length == ProbeLength && datagram[4] is >= FirstProbe and < FirstProbe + 5;

    public static ulong HandleOf(ReadOnlySpan<byte> message) => BinaryPrimitives.ReadUInt64BigEndian(message[HandleAt..]);

    /// <summary>Magic, kind and handle.</summary>
    public static void Begin(Span<byte> to, byte kind, ulong handle)
    {
        "UPN1"u8.CopyTo(to);
        to[4] = kind;
        BinaryPrimitives.WriteUInt64BigEndian(to[HandleAt..], handle);
    }

    /// <summary>
    /// A registration without an offer: magic, kind, handle, room, peer, cookie, attempt, whether it stays, the length of the offer, the number
    /// of endpoints to avoid, and padding. The room and the peer are sixteen bytes each, of which these are the first eight.
    /// </summary>
    public static int WriteRegister(Span<byte> to, ulong handle, ulong room, ReadOnlySpan<byte> cookie, bool stays)
    {
        to[..RegisterLength].Clear();
        Begin(to, Register, handle);
        BinaryPrimitives.WriteUInt64BigEndian(to[RoomAt..], room);
        BinaryPrimitives.WriteUInt64BigEndian(to[(RoomAt + 16)..], handle);
        cookie.CopyTo(to[CookieAt..]);
        to[61] = 1;
        to[62] = (byte)(stays ? 1 : 0);
        return RegisterLength;
    }

    /// <summary>An acknowledgement of an introduction: magic, kind, handle, room, cookie, nonce, round trip.</summary>
    public static int WriteAcknowledge(Span<byte> to, ulong handle, ulong room, ReadOnlySpan<byte> cookie, ReadOnlySpan<byte> nonce)
    {
        const int Length = RoomAt + 16 + 16 + 16 + 2;
        WriteLeave(to, handle, room, cookie);
        to[4] = Acknowledge;
        to[(RoomAt + 32)..Length].Clear();
        nonce.CopyTo(to[(RoomAt + 32)..]);
        return Length;
    }

    /// <summary>The end of a registration: magic, kind, handle, room, cookie.</summary>
    public static int WriteLeave(Span<byte> to, ulong handle, ulong room, ReadOnlySpan<byte> cookie)
    {
        const int Length = RoomAt + 16 + 16;
        to[..Length].Clear();
        Begin(to, Leave, handle);
        BinaryPrimitives.WriteUInt64BigEndian(to[RoomAt..], room);
        cookie.CopyTo(to[(RoomAt + 16)..]);
        return Length;
    }

    public static int WriteObserve(Span<byte> to, ulong handle)
    {
        const int Length = 40;
        to[..Length].Clear();
        Begin(to, Observe, handle);
        return Length;
    }
}
