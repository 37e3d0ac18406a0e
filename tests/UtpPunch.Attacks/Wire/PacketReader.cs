using System.Buffers.Binary;

namespace UtpPunch.Attacks.Wire;

/// <summary>Takes a UDP packet. The payload is overwritten afterwards.</summary>
internal delegate void Take(Address source, Address target, ReadOnlySpan<byte> payload);

/// <summary>A thread that reads the UDP packets of a raw socket: those that reach a namespace, or those that pass through a device.</summary>
internal sealed class PacketReader : IDisposable
{
    private readonly int _descriptor;
    private readonly Take _take;
    private readonly Thread _thread;
    private volatile bool _disposed;

    public PacketReader(int descriptor, Take take)
    {
        _descriptor = descriptor;
        _take = take;
        _thread = new Thread(Run) { IsBackground = true, Name = "packets" };
        _thread.Start();
    }

    public void Dispose()
    {
        _disposed = true;
        _thread.Join();
        _ = Kernel.Close(_descriptor);
    }

    private void Run()
    {
        var buffer = new byte[65536];
        while (!_disposed)
        {
            var length = Kernel.Receive(_descriptor, buffer);
            if (length >= RawSender.Headers && buffer[0] == 0x45 && buffer[9] == Kernel.Udp)
            {
                var packet = buffer.AsSpan(0, length);
                _take(
                    new Address(BinaryPrimitives.ReadUInt32BigEndian(packet[12..]), BinaryPrimitives.ReadUInt16BigEndian(packet[20..])),
                    new Address(BinaryPrimitives.ReadUInt32BigEndian(packet[16..]), BinaryPrimitives.ReadUInt16BigEndian(packet[22..])),
                    packet[RawSender.Headers..]);
            }
        }
    }
}
