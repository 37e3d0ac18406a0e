using System.Net.Sockets;
using System.Runtime.InteropServices;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// Receives by <c>recvmmsg</c> into slots of 64 KiB. Each takes one datagram, or datagrams of one source and one size that the kernel has
/// coalesced (UDP_GRO), with their time of arrival (SO_TIMESTAMPNS). A slab that is well filled is handed on, and its slot gets another
/// one; short datagrams are copied behind one another. Where <c>recvmmsg</c> is refused, <c>recvmsg</c> fills the slots one by one.
/// </summary>
internal sealed unsafe class ReceiveSlots : IDisposable
{
    private const int Count = 8;
    private const int NameSize = 32;
    private const int ControlSize = 128;

    // Below that, a copy is cheaper than to keep a slab alive that is mostly empty.
    private const int WorthASlab = Slab.Size / 4 + 2048;

    private readonly Libc.MessageOfMany* _messages;
    private readonly Libc.Part* _parts;
    private readonly byte* _names;
    private readonly byte* _controls;
    private readonly Slab?[] _slabs = new Slab?[Count];
    private readonly GCHandle[] _pins = new GCHandle[Count];
    private readonly ReceivedRuns _runs = new();
    private readonly LinuxCalls _calls;
    private readonly LocalAddresses _locals;
    private bool _isRefused;

    public ReceiveSlots(LinuxCalls calls, LocalAddresses locals)
    {
        _calls = calls;
        _locals = locals;
        _messages = (Libc.MessageOfMany*)NativeMemory.AllocZeroed(Count, (nuint)sizeof(Libc.MessageOfMany));
        _parts = (Libc.Part*)NativeMemory.AllocZeroed(Count, (nuint)sizeof(Libc.Part));
        _names = (byte*)NativeMemory.AllocZeroed(Count, NameSize);
        _controls = (byte*)NativeMemory.AllocZeroed(Count, ControlSize);
        for (var slot = 0; slot < Count; slot++)
        {
            ref var message = ref _messages[slot].Message;
            message.Name = _names + (slot * NameSize);
            message.Parts = _parts + slot;
            message.PartCount = 1;
            message.Control = _controls + (slot * ControlSize);
            Reset(slot);
        }
    }

    /// <summary>Receives as many datagrams as there are slots.</summary>
    /// <returns><see langword="false"/> if no more datagrams were there, or the call has failed.</returns>
    /// <exception cref="SocketException">The system lets this process receive by neither call.</exception>
    public bool Receive(UdpChannel channel, List<Event> received, List<Slab> slabs)
    {
        // Slots that a call may fill have a slab. A node that never receives many datagrams at once keeps two, so that mostly one call
        // tells that there are no more.
        var ready = 0;
        while (ready < Count && (ready < 2 || _slabs[ready] is not null))
        {
            Supply(ready++);
        }

        var count = FillSlots(channel.Handle, ready);
        if (count <= 0)
        {
            return false;
        }

        var clocks = Clocks.Read();
        _runs.Begin(received);
        for (var slot = 0; slot < count; slot++)
        {
            Take(slot, channel.Via, clocks, received, slabs);
            Reset(slot);
        }

        _runs.Flush();
        if (count == ready && ready < Count)
        {
            Supply(ready);
        }

        return count == ready;
    }

    public void Dispose()
    {
        for (var slot = 0; slot < Count; slot++)
        {
            if (_slabs[slot] is { } slab)
            {
                Unpin(slot);
                slab.Release();
            }
        }

        NativeMemory.Free(_messages);
        NativeMemory.Free(_parts);
        NativeMemory.Free(_names);
        NativeMemory.Free(_controls);
    }

    // How many slots were filled, or a negative errno.
    private int FillSlots(SafeHandle socket, int ready)
    {
        if (_isRefused)
        {
            return FillOneByOne(socket, ready);
        }

        var count = _calls.ReceiveMany(socket, _messages, (uint)ready);
        if (!LinuxCalls.IsRefusal(-count))
        {
            return count;
        }

        // If recvmsg gets the same answer, the reason is not the call. The socket would stay readable, and the node would spin.
        count = FillOneByOne(socket, ready);
        _isRefused = !LinuxCalls.IsRefusal(-count);
        return _isRefused ? count : throw new SocketException((int)SocketErrors.OfLinux(-count));
    }

    private int FillOneByOne(SafeHandle socket, int ready)
    {
        for (var slot = 0; slot < ready; slot++)
        {
            var length = _calls.Receive(socket, &_messages[slot].Message);
            if (length < 0)
            {
                return slot > 0 ? slot : length;
            }

            _messages[slot].Length = (uint)length;
        }

        return ready;
    }

    private void Take(int slot, ushort via, Clocks clocks, List<Event> received, List<Slab> slabs)
    {
        var slab = _slabs[slot]!;
        var message = &_messages[slot].Message;
        var length = (int)_messages[slot].Length;
        if ((message->Flags & Libc.MSG_TRUNC) != 0)
        {
            return;
        }

        var segment = length;
        var arrivedAt = clocks.Monotonic;
        ushort local = 0;
        var controls = new ControlMessages(message);
        while (controls.Next())
        {
            if (controls is { Level: Libc.SOL_UDP, Type: Libc.UDP_GRO })
            {
                segment = *(int*)controls.Data;
            }
            else if (controls is { Level: Libc.SOL_SOCKET, Type: Libc.SO_TIMESTAMPNS })
            {
                arrivedAt = clocks.ToMonotonic(((Libc.Timespec*)controls.Data)->Microseconds);
            }
            else if (SourceControl.TryRead(controls, out var address))
            {
                local = _locals.NumberOf(address);
            }
        }

        var name = Addresses.Read(new ReadOnlySpan<byte>(message->Name, (int)message->NameLength));
        var source = new Endpoint(name.High, name.Low, name.Scope, name.Port, via, local);
        if (length < WorthASlab)
        {
            slab.Bytes.AsSpan(0, length).CopyTo(_runs.Room(length));
            _runs.Add(source, length, segment, arrivedAt);
        }
        else
        {
            _runs.Flush();
            received.Add(Event.NewReceived(source, new Datagrams(slab.Bytes, 0, length, segment, arrivedAt)));
            slabs.Add(slab);
            Unpin(slot);
            Supply(slot);
        }
    }

    private void Reset(int slot)
    {
        ref var message = ref _messages[slot].Message;
        message.NameLength = NameSize;
        message.ControlLength = ControlSize;
        message.Flags = 0;
    }

    private void Supply(int slot)
    {
        if (_slabs[slot] is null)
        {
            var slab = new Slab();
            _slabs[slot] = slab;
            _pins[slot] = GCHandle.Alloc(slab.Bytes, GCHandleType.Pinned);
            _parts[slot].Start = (byte*)_pins[slot].AddrOfPinnedObject();
            _parts[slot].Length = Slab.Size;
        }
    }

    private void Unpin(int slot)
    {
        _pins[slot].Free();
        _slabs[slot] = null;
    }
}
