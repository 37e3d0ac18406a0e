using System.Buffers.Binary;
using StackExchange.Redis;

namespace UtpPunch.Rendezvous.Redis;

/// <summary>Something in Redis was not written by an instance of this server; the message says what and why.</summary>
internal sealed class InvalidStoredValueException(string message) : FormatException(message);

/// <summary>The names and values that the instances keep in Redis.</summary>
internal static class StoredValues
{
    // The name of an instance, then the number of a client there.
    private const int MemberLength = 12;
    private const int InstanceLength = 8;

    // A message has two endpoints, an offer and what goes with them.
    private const int MaxMessage = 2048;
    private const int MaxMembers = 64;

    public static RedisKey VisitorsOf(ReadOnlyMemory<byte> room) => $"utp:{{{Convert.ToHexString(room.Span)}}}:visitors";

    public static RedisKey StayingIn(ReadOnlyMemory<byte> room) => $"utp:{{{Convert.ToHexString(room.Span)}}}:staying";

    public static RedisChannel ChannelOf(ulong instance) => RedisChannel.Literal($"utp:instance:{instance:x16}");

    public static byte[] Member(ulong instance, int number)
    {
        var value = new byte[MemberLength];
        BinaryPrimitives.WriteUInt64BigEndian(value, instance);
        BinaryPrimitives.WriteInt32BigEndian(value.AsSpan(InstanceLength), number);
        return value;
    }

    /// <exception cref="InvalidStoredValueException">It is not one.</exception>
    public static (ulong Instance, int Number)[] ReadMembers(RedisResult result)
    {
        if (result.Resp2Type != ResultType.Array || result.Length > MaxMembers)
        {
            throw new InvalidStoredValueException($"the members of a room are {result.Resp2Type} with {result.Length} items, not an array with at most {MaxMembers}");
        }

        return [.. ((RedisResult[])result!).Select(one => ReadMember((byte[]?)one))];
    }

    public static byte[] Message(ulong sender, ReadOnlyMemory<byte> message)
    {
        var value = new byte[InstanceLength + message.Length];
        BinaryPrimitives.WriteUInt64BigEndian(value, sender);
        message.Span.CopyTo(value.AsSpan(InstanceLength));
        return value;
    }

    /// <exception cref="InvalidStoredValueException">It is not one.</exception>
    public static (ulong Sender, byte[] Message) ReadMessage(RedisValue value)
    {
        var bytes = (byte[]?)value ?? [];
        return bytes.Length is > InstanceLength and <= MaxMessage
            ? (BinaryPrimitives.ReadUInt64BigEndian(bytes), bytes[InstanceLength..])
            : throw new InvalidStoredValueException($"a message has {bytes.Length} bytes, not {InstanceLength + 1} to {MaxMessage}");
    }

    private static (ulong Instance, int Number) ReadMember(byte[]? value) => value is { Length: MemberLength }
        ? (BinaryPrimitives.ReadUInt64BigEndian(value), BinaryPrimitives.ReadInt32BigEndian(value.AsSpan(InstanceLength)))
        : throw new InvalidStoredValueException($"a member of a room has {value?.Length ?? 0} bytes, not {MemberLength}");
}
