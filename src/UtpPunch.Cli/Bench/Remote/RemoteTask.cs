using System.Buffers.Binary;

namespace UtpPunch.Cli.Bench;

/// <summary>What a stream between two machines is for. It begins with a mark, a letter and a number of milliseconds, so that a stranger who
/// dials by mistake is told from a client of this version.</summary>
/// <param name="Kind">`u`: data to the server; `d`: data to the client; `p`: every byte comes back.</param>
internal readonly record struct RemoteTask(char Kind, TimeSpan Time)
{
    private const uint Mark = 0x75747031;                   // "utp1"
    private const int Length = 9;

    public async Task SendAsync(Stream stream, CancellationToken cancellationToken)
    {
        var bytes = new byte[Length];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, Mark);
        bytes[4] = (byte)Kind;
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(5), (int)Time.TotalMilliseconds);
        await stream.WriteAsync(bytes, cancellationToken);
    }

    /// <summary>Null when it is no task.</summary>
    public static async Task<RemoteTask?> ReceiveAsync(Stream stream, CancellationToken cancellationToken)
    {
        var bytes = new byte[Length];
        await stream.ReadExactlyAsync(bytes, cancellationToken);
        return BinaryPrimitives.ReadUInt32BigEndian(bytes) == Mark && bytes[4] is (byte)'u' or (byte)'d' or (byte)'p'
            ? new RemoteTask((char)bytes[4], TimeSpan.FromMilliseconds(BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(5))))
            : null;
    }
}
