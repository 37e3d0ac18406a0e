using System.Buffers.Text;
using System.Security.Cryptography;

namespace UtpPunch;

/// <summary>
/// What is outside of an offer's contents: "UPO", the version, flags, a point of P-256, the contents, which are sealed if there is a secret, and
/// the beginning of a hash, by which an offer that was cut or mistyped is told from one of a stranger. As text it is base64url (RFC 4648, 5).
/// </summary>
internal sealed class OfferEnvelope
{
    public const int PointLength = 64;

    private const byte Version = 1;
    private const byte SealedFlag = 1;
    private const byte AnswerFlag = 2;
    private const int PrefixLength = 5;
    private const int HeaderLength = PrefixLength + PointLength;
    private const int HashLength = 4;

    // The contents have at most 206 bytes today.
    private const int MaxLength = 1024;
    private const int MaxText = 2 * MaxLength;

    private OfferEnvelope(byte[] bytes) => Bytes = bytes;

    public byte[] Bytes { get; }

    public string Text => Base64Url.EncodeToString(Bytes);

    public bool IsSealed => (Bytes[4] & SealedFlag) != 0;

    public bool IsAnswer => (Bytes[4] & AnswerFlag) != 0;

    public ReadOnlySpan<byte> Point => Bytes.AsSpan(PrefixLength, PointLength);

    /// <summary>What precedes the contents, and is authenticated with them.</summary>
    public ReadOnlySpan<byte> Header => Bytes.AsSpan(0, HeaderLength);

    public ReadOnlySpan<byte> Contents => Bytes.AsSpan(HeaderLength, Bytes.Length - HeaderLength - HashLength);

    /// <summary>What precedes the contents.</summary>
    public static byte[] HeaderOf(ReadOnlySpan<byte> point, bool isSealed, bool isAnswer) =>
        [.. "UPO"u8, Version, (byte)((isSealed ? SealedFlag : 0) | (isAnswer ? AnswerFlag : 0)), .. point];

    public static OfferEnvelope Of(ReadOnlySpan<byte> header, ReadOnlySpan<byte> contents)
    {
        byte[] covered = [.. header, .. contents];
        return new([.. covered, .. SHA256.HashData(covered).AsSpan(0, HashLength)]);
    }

    /// <exception cref="UtpException">It is not an offer, was damaged, or has another version.</exception>
    public static OfferEnvelope Parse(string text)
    {
        if (text.Length > MaxText)
        {
            throw OfferFailures.Invalid($"It has {text.Length} characters; offers have at most {MaxText}.");
        }

        byte[] bytes;
        try
        {
            bytes = Base64Url.DecodeFromChars(text.AsSpan().Trim());
        }
        catch (FormatException)
        {
            throw OfferFailures.Invalid("It is not base64url, or was cut.");
        }

        if (bytes.Length < PrefixLength || !bytes.AsSpan(0, 3).SequenceEqual("UPO"u8))
        {
            throw OfferFailures.Invalid("The text is something else.");
        }

        if (bytes[3] != Version)
        {
            throw OfferFailures.OtherVersion(bytes[3], Version);
        }

        if (bytes.Length is <= HeaderLength + HashLength or > MaxLength
            || !SHA256.HashData(bytes.AsSpan(0, bytes.Length - HashLength)).AsSpan(0, HashLength).SequenceEqual(bytes.AsSpan(bytes.Length - HashLength)))
        {
            throw OfferFailures.Invalid("It was cut or changed on its way.");
        }

        return new(bytes);
    }
}
