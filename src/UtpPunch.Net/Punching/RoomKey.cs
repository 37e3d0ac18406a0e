using System.Security.Cryptography;
using System.Text;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>The key that both peers derive from the name and the secret of a room. The derivation is slow, to slow down the guessing of
/// secrets.</summary>
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
