using System.Security.Cryptography;
using System.Text;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// What keeps others out of a punch whose offers go through a channel of the application's. Each offer has a fresh point of P-256, and the key
/// of the punch follows from both points (ECDH, SP 800-56A) and from both offers as they were sent: who reads the channel learns no key, and who
/// changes an offer makes the punch fail, unless he replaces both offers. Against that there is a secret, which also hides the addresses.
/// </summary>
internal sealed class OfferKeys
{
    private const int KeyLength = 32;
    private const int NonceLength = 12;
    private const int TagLength = 16;

    // As of a room: see RoomKey.
    private const int Iterations = 600_000;

    private readonly ECParameters _own;
    private readonly string? _secret;
    private readonly byte[] _sealKey;

    public OfferKeys(string? secret)
    {
        using var pair = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256);
        _own = pair.ExportParameters(includePrivateParameters: true);
        _secret = secret;
        _sealKey = SealKey(Point);
    }

    private byte[] Point => [.. _own.Q.X!, .. _own.Q.Y!];

    /// <summary>The offer with these contents.</summary>
    public OfferEnvelope Wrap(ReadOnlySpan<byte> contents, bool isAnswer)
    {
        var header = OfferEnvelope.HeaderOf(Point, _secret is not null, isAnswer);
        return OfferEnvelope.Of(header, _secret is null ? contents : Seal(header, contents));
    }

    /// <summary>The contents of the peer's offer, and the key of the punch.</summary>
    /// <exception cref="UtpException">It is this node's own, or the secrets differ.</exception>
    public (byte[] Contents, Owned Room) Open(OfferEnvelope own, OfferEnvelope peer)
    {
        if (peer.Point.SequenceEqual(own.Point))
        {
            throw OfferFailures.OwnOffer();
        }

        Check(peer);
        var key = SealKey(peer.Point);
        var contents = peer.IsSealed ? Unseal(key, peer) : peer.Contents.ToArray();
        var isLower = own.Point.SequenceCompareTo(peer.Point) < 0;
        var (first, second) = isLower ? (own, peer) : (peer, own);
        var (firstKey, secondKey) = isLower ? (_sealKey, key) : (key, _sealKey);
        using var hash = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, Agree(peer.Point));
        hash.AppendData("UtpPunch offers\0"u8);
        hash.AppendData(firstKey);
        hash.AppendData(secondKey);
        hash.AppendData(SHA256.HashData(first.Bytes));
        hash.AppendData(SHA256.HashData(second.Bytes));
        return (contents, new Owned(hash.GetHashAndReset()));
    }

    /// <summary>What can be said of the peer's offer without one of our own.</summary>
    public void Check(OfferEnvelope peer)
    {
        if (peer.IsSealed != _secret is not null)
        {
            throw OfferFailures.NotAuthentic(
                _secret is null ? "It was made with a secret, and there is none here." : "It was made without the secret that there is here.");
        }
    }

    private byte[] Agree(ReadOnlySpan<byte> point)
    {
        var theirs = new ECParameters
        {
            Curve = ECCurve.NamedCurves.nistP256,
            Q = new ECPoint { X = point[..32].ToArray(), Y = point[32..].ToArray() },
        };
        try
        {
            using var own = ECDiffieHellman.Create(_own);
            using var peer = ECDiffieHellman.Create(theirs);
            return own.DeriveRawSecretAgreement(peer.PublicKey);
        }
        catch (CryptographicException)
        {
            throw OfferFailures.Invalid("Its key is not a point of the curve.");
        }
    }

    private byte[] SealKey(ReadOnlySpan<byte> point) => _secret is null
        ? new byte[KeyLength]
        : Rfc2898DeriveBytes.Pbkdf2(
            Encoding.UTF8.GetBytes(_secret), (byte[])[.. "UtpPunch offer "u8, .. point], Iterations, HashAlgorithmName.SHA256, KeyLength);

    // The key is used for this offer only; its point is in the salt.
    private byte[] Seal(byte[] header, ReadOnlySpan<byte> contents)
    {
        var box = new byte[NonceLength + contents.Length + TagLength];
        var nonce = box.AsSpan(0, NonceLength);
        RandomNumberGenerator.Fill(nonce);
        using var cipher = new AesGcm(_sealKey, TagLength);
        cipher.Encrypt(nonce, contents, box.AsSpan(NonceLength, contents.Length), box.AsSpan(NonceLength + contents.Length), header);
        return box;
    }

    private static byte[] Unseal(byte[] key, OfferEnvelope peer)
    {
        var box = peer.Contents;
        if (box.Length < NonceLength + TagLength)
        {
            throw OfferFailures.Invalid("It is too short.");
        }

        var contents = new byte[box.Length - NonceLength - TagLength];
        using var cipher = new AesGcm(key, TagLength);
        try
        {
            cipher.Decrypt(
                box[..NonceLength], box.Slice(NonceLength, contents.Length), box[(NonceLength + contents.Length)..], contents, peer.Header);
            return contents;
        }
        catch (AuthenticationTagMismatchException)
        {
            throw OfferFailures.NotAuthentic("The two sides have different secrets.");
        }
    }
}
