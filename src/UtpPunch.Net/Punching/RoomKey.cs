using System.Security.Cryptography;
using System.Text;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>The key that both peers make of the room's name and their secret. It takes a while, so that guessing secrets does, too.</summary>
internal static class RoomKey
{
    private const int Length = 32;
    private const int Iterations = 50_000;

    public static Owned Of(string room, string? secret) => new(Rfc2898DeriveBytes.Pbkdf2(
        Encoding.UTF8.GetBytes(secret ?? ""),
        Encoding.UTF8.GetBytes("UtpPunch room " + room),
        Iterations,
        HashAlgorithmName.SHA256,
        Length));
}
