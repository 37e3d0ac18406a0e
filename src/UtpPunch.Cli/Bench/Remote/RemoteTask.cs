using System.Buffers.Binary;

namespace UtpPunch.Cli.Bench;

/// <summary>The header of a stream between two machines: a magic number, which tells a client of this version from other diallers, a letter,
/// and a number of milliseconds.</summary>
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

    /// <summary>Null if the header is not valid.</summary>
    public static async Task<RemoteTask?> ReceiveAsync(Stream stream, CancellationToken cancellationToken)
    {
        var bytes = new byte[Length];
        await stream.ReadExactlyAsync(bytes, cancellationToken);
        return BinaryPrimitives.ReadUInt32BigEndian(bytes) == Mark && bytes[4] is (byte)'u' or (byte)'d' or (byte)'p'
            ? new RemoteTask((char)bytes[4], TimeSpan.FromMilliseconds(BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(5))))
            : null;
    }
}
