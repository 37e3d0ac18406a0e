using UtpPunch.Protocol;

namespace UtpPunch.Attacks.Hostile;

/// <summary>A client of a rendezvous server, honest or not.</summary>
internal sealed class RendezvousHost(Endpoint endpoint, ulong handle, ulong room, bool stays)
{
    private readonly byte[] _cookie = new byte[PunchMessages.CookieLength];

    public Endpoint Endpoint { get; } = endpoint;

    public ulong Handle { get; } = handle;

    public ulong Room { get; } = room;

    public ReadOnlySpan<byte> Cookie => _cookie;

    /// <summary>When it renews its registration.</summary>
    public long RenewAt { get; set; }

    /// <summary>The peer that it was introduced to; 0 for none.</summary>
    public ulong Peer { get; private set; }

    /// <summary>Whether both have acknowledged the introduction.</summary>
    public bool MayGo { get; private set; }

    public byte[] Register()
    {
        var message = new byte[PunchMessages.RegisterLength];
        PunchMessages.WriteRegister(message, Handle, Room, _cookie, stays);
        return message;
    }

    public byte[] Leave()
    {
        var message = new byte[PunchMessages.RegisterLength];
        return message[..PunchMessages.WriteLeave(message, Handle, Room, _cookie)];
    }

    /// <summary>Keeps the cookie of a challenge. Whether it was another one.</summary>
    public bool TryKeepCookie(ReadOnlySpan<byte> message)
    {
        if (message[4] != PunchMessages.Challenge)
        {
            return false;
        }

        var cookie = message.Slice(PunchMessages.ChallengeAt, PunchMessages.CookieLength);
        var isNew = !cookie.SequenceEqual(_cookie);
        cookie.CopyTo(_cookie);
        return isNew;
    }

    /// <summary>Takes a message of the server as an honest client does; the answer, or null.</summary>
    public byte[]? Answer(ReadOnlySpan<byte> message)
    {
        const int NonceLength = 16;
        switch (message[4])
        {
            case PunchMessages.Challenge:
                // Attackers draw challenges, too.
                return TryKeepCookie(message) ? Register() : null;
            case PunchMessages.Ping:
                return Register();
            case PunchMessages.Introduce:
                var nonce = message.Slice(PunchMessages.RoomAt, NonceLength);
                Peer = PunchMessages.HandleOf(message[(PunchMessages.RoomAt + NonceLength - PunchMessages.HandleAt)..]);
                var answer = new byte[PunchMessages.RegisterLength];
                return answer[..PunchMessages.WriteAcknowledge(answer, Handle, Room, _cookie, nonce)];
            case PunchMessages.Go:
                MayGo = true;
                return null;
            default:
                return null;
        }
    }
}
