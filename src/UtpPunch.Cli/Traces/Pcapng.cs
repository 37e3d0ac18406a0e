using System.Buffers.Binary;
using System.Text;

namespace UtpPunch.Cli.Traces;

/// <summary>Writes blocks of a pcapng file, little-endian: one section, interfaces of raw IP in microseconds, and packets.</summary>
internal sealed class Pcapng : IDisposable
{
    private const uint SectionHeader = 0x0A0D0D0A;
    private const uint InterfaceDescription = 1;
    private const uint EnhancedPacket = 6;
    private const ushort LinkTypeRaw = 101;

    private const ushort EndOfOptions = 0;
    private const ushort Comment = 1;
    private const ushort InterfaceName = 2;
    private const ushort PacketFlags = 2;
    private const ushort UserApplication = 4;
    private const ushort TimeResolution = 9;

    private readonly Stream _target;
    private readonly MemoryStream _body = new();

    public Pcapng(Stream target, string application, string comment)
    {
        _target = target;
        Write(0x1A2B3C4Du);
        Write((ushort)1);
        Write((ushort)0);
        Write(ulong.MaxValue);                              // how long the section is: unknown
        WriteOption(Comment, comment);
        WriteOption(UserApplication, application);
        EndOptions();
        EndBlock(SectionHeader);
    }

    /// <summary>Interfaces are numbered from 0 in the order in which they are added.</summary>
    public void AddInterface(string name)
    {
        Write(LinkTypeRaw);
        Write((ushort)0);
        Write(0u);                                          // no limit to what is kept of a packet
        WriteOption(InterfaceName, name);
        WriteOption(TimeResolution, [6]);
        EndOptions();
        EndBlock(InterfaceDescription);
    }

    public void AddPacket(int interfaceNumber, long microseconds, ReadOnlySpan<byte> packet, bool isInbound, string comment)
    {
        Write((uint)interfaceNumber);
        Write((uint)((ulong)microseconds >> 32));
        Write((uint)microseconds);
        Write((uint)packet.Length);
        Write((uint)packet.Length);
        WritePadded(packet);
        WriteOption(PacketFlags, [isInbound ? (byte)1 : (byte)2, 0, 0, 0]);
        if (comment.Length > 0)
        {
            WriteOption(Comment, comment);
        }

        EndOptions();
        EndBlock(EnhancedPacket);
    }

    public void Dispose() => _body.Dispose();

    private void EndBlock(uint type)
    {
        Span<byte> word = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(word, type);
        _target.Write(word);
        BinaryPrimitives.WriteUInt32LittleEndian(word, (uint)_body.Length + 12);
        _target.Write(word);
        _body.WriteTo(_target);
        _target.Write(word);
        _body.SetLength(0);
    }

    private void WriteOption(ushort code, string value) =>
        WriteOption(code, Encoding.UTF8.GetBytes(value.Length > 10_000 ? value[..10_000] : value));

    private void WriteOption(ushort code, ReadOnlySpan<byte> value)
    {
        Write(code);
        Write((ushort)value.Length);
        WritePadded(value);
    }

    private void EndOptions()
    {
        Write(EndOfOptions);
        Write((ushort)0);
    }

    private void WritePadded(ReadOnlySpan<byte> bytes)
    {
        _body.Write(bytes);
        for (var length = bytes.Length; length % 4 != 0; length++)
        {
            _body.WriteByte(0);
        }
    }

    private void Write(ushort value)
    {
        Span<byte> bytes = stackalloc byte[2];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, value);
        _body.Write(bytes);
    }

    private void Write(uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        _body.Write(bytes);
    }

    private void Write(ulong value)
    {
        Write((uint)value);
        Write((uint)(value >> 32));
    }
}
