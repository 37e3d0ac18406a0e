using System.ComponentModel;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace UtpPunch.Cli.Bench;

/// <summary>One buffer of a socket, and two calls that .NET does not expose: sendmsg with UDP_SEGMENT, recvmsg with UDP_GRO. The layouts are
/// those of 64-bit Linux.</summary>
internal sealed unsafe partial class SegmentedMessages : IDisposable
{
    private const int SolUdp = 17;
    private const int UdpSegment = 103;
    private const int UdpGro = 104;
    private const int Again = 11;
    private const int ControlSpace = 64;
    private const int ControlHeader = 16;
    private const int AddressSpace = 32;

    private readonly Socket _socket;
    private readonly int _capacity;
    private readonly byte* _bytes;
    private readonly byte* _control;
    private readonly byte* _address;
    private readonly Piece* _piece;
    private Message _message;

    public SegmentedMessages(Socket socket, int capacity)
    {
        _socket = socket;
        _capacity = capacity;
        _bytes = (byte*)NativeMemory.AllocZeroed((nuint)capacity);
        _control = (byte*)NativeMemory.AllocZeroed(ControlSpace);
        _address = (byte*)NativeMemory.AllocZeroed(AddressSpace);
        _piece = (Piece*)NativeMemory.AllocZeroed((nuint)sizeof(Piece));
        *_piece = new Piece { Start = _bytes, Length = (nuint)capacity };
        _message = new Message { Pieces = _piece, PieceCount = 1, Control = _control };
    }

    /// <summary>The bytes to send.</summary>
    public Span<byte> Bytes => new(_bytes, _capacity);

    /// <summary>Sets the destination and the datagram size.</summary>
    public void Aim(IPEndPoint target, int segmentSize)
    {
        var address = target.Serialize();
        address.Buffer.Span[..address.Size].CopyTo(new Span<byte>(_address, AddressSpace));
        _message.Address = _address;
        _message.AddressLength = (uint)address.Size;
        *(nuint*)_control = ControlHeader + sizeof(ushort);
        *(int*)(_control + 8) = SolUdp;
        *(int*)(_control + 12) = UdpSegment;
        *(ushort*)(_control + ControlHeader) = (ushort)segmentSize;
        _message.ControlLength = ControlHeader + 8;
    }

    /// <summary>Enables UDP_GRO: a receive may return several datagrams.</summary>
    public void Coalesce() => _socket.SetRawSocketOption(SolUdp, UdpGro, BitConverter.GetBytes(1));

    /// <summary>Sends the whole buffer; the number of bytes.</summary>
    public int Send()
    {
        var sent = SendMessage((int)_socket.Handle, ref _message, 0);
        return sent >= 0 ? (int)sent : throw new Win32Exception();
    }

    /// <summary>Receives datagrams, which lie one behind the other; empty after a time-out.</summary>
    public ReadOnlySpan<byte> TryReceive()
    {
        _message.ControlLength = ControlSpace;
        var received = ReceiveMessage((int)_socket.Handle, ref _message, 0);
        return received >= 0 ? new ReadOnlySpan<byte>(_bytes, (int)received)
             : Marshal.GetLastPInvokeError() == Again ? default
             : throw new Win32Exception();
    }

    public void Dispose()
    {
        NativeMemory.Free(_bytes);
        NativeMemory.Free(_control);
        NativeMemory.Free(_address);
        NativeMemory.Free(_piece);
    }

    [LibraryImport("libc", EntryPoint = "sendmsg", SetLastError = true)]
    private static partial nint SendMessage(int socket, ref Message message, int flags);

    [LibraryImport("libc", EntryPoint = "recvmsg", SetLastError = true)]
    private static partial nint ReceiveMessage(int socket, ref Message message, int flags);

    /// <summary>`struct iovec`.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Piece
    {
        public byte* Start;
        public nuint Length;
    }

    /// <summary>`struct msghdr`.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Message
    {
        public byte* Address;
        public uint AddressLength;
        public Piece* Pieces;
        public nuint PieceCount;
        public byte* Control;
        public nuint ControlLength;
        public int Flags;
    }
}
