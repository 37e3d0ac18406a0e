using System.Buffers.Binary;
using System.Net;

namespace UtpPunch.Attacks.Wire;

/// <summary>An IPv4 address and a port, as a value that a million packets can name.</summary>
internal readonly record struct Address(uint Ip, ushort Port)
{
    public static Address Of(string ip, int port) =>
        new(BinaryPrimitives.ReadUInt32BigEndian(IPAddress.Parse(ip).GetAddressBytes()), (ushort)port);

    public IPEndPoint EndPoint => new(new IPAddress(BinaryPrimitives.ReverseEndianness(Ip)), Port);

    public Address Plus(uint offset) => this with { Ip = Ip + offset };

    public override string ToString() => EndPoint.ToString();
}
