using System.Security.Cryptography;
using System.Text;

namespace UtpPunch.Tests;

/// <summary>The tag of a room without a secret, computed as docs/punching.md says and not by the library.</summary>
internal static class RendezvousTag
{
    public static string Of(string room)
    {
        var key = Rfc2898DeriveBytes.Pbkdf2(Array.Empty<byte>(), Encoding.UTF8.GetBytes($"UtpPunch room {room}"), 1, HashAlgorithmName.SHA256, 32);
        return Convert.ToHexStringLower(HMACSHA256.HashData(key, "UtpPunch tag\0"u8))[..32];
    }
}
