using System.Security.Cryptography;
using System.Text;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>The key that both peers derive from the name and the secret of a room. The tag of the room, which the server and the network
/// see, follows from it: a secret can be guessed from the tag. The derivation from a secret is slow, to slow that down. Without a secret there
/// is nothing to guess.</summary>
internal static class RoomKey
{
    private const int Length = 32;

    // OWASP's number for PBKDF2 with SHA-256: about a tenth of a second.
    private const int Iterations = 600_000;

    public static Owned Of(string room, string? secret) => new(Rfc2898DeriveBytes.Pbkdf2(
        Encoding.UTF8.GetBytes(secret ?? ""),
        Encoding.UTF8.GetBytes("UtpPunch room " + room),
        string.IsNullOrEmpty(secret) ? 1 : Iterations,
        HashAlgorithmName.SHA256,
        Length));
}
