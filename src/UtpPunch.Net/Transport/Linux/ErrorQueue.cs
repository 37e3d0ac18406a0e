using System.Runtime.InteropServices;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// The errors that the kernel and ICMP report about datagrams that were sent (IP_RECVERR). Only "too long" and "no socket at that port" are used,
/// and the protocol takes both for hints: an ICMP packet can be forged by any host that guesses an address. So everything else is left to its own
/// timers.
/// </summary>
internal sealed unsafe class ErrorQueue : IDisposable
{
    private const int NameSize = 32;
    private const int ControlSize = 256;

    // The queue holds some thousands at most, and each error that is left fails a send to another peer.
    private const int MaxErrors = 4096;

    // The headers of IP and UDP, which the reported MTU includes.
    private const int HeadersOfIPv4 = 28;
    private const int HeadersOfIPv6 = 48;
    private const int EMSGSIZE = 90;
    private const int ECONNREFUSED = 111;

    // What is taken of the datagram that an error is about: the header of a packet.
    private const int QuotedSize = PacketModule.HeaderLength;

    private readonly byte* _memory = (byte*)NativeMemory.AllocZeroed(NameSize + ControlSize + QuotedSize);

    /// <summary>Empties the queue of a socket.</summary>
    /// <param name="channel">The socket.</param>
    /// <param name="news">Gets what the protocol is told of it.</param>
    /// <returns>Whether anything was in the queue.</returns>
    public bool Drain(UdpChannel channel, List<Event> news)
    {
        var any = false;
        for (var count = 0; count < MaxErrors; count++)
        {
            var quoted = new Libc.Part { Start = _memory + NameSize + ControlSize, Length = QuotedSize };
            var message = new Libc.Message
            {
                Name = _memory,
                NameLength = NameSize,
                Parts = &quoted,
                PartCount = 1,
                Control = _memory + NameSize,
                ControlLength = ControlSize,
            };
            var length = Libc.Receive(channel.Handle, &message, Libc.MSG_ERRQUEUE | Libc.MSG_DONTWAIT);
            if (length < 0)
            {
                break;
            }

            any = true;
            if (Read(&message, channel.Via, new ReadOnlySpan<byte>(quoted.Start, (int)length)) is { } report)
            {
                news.Add(report);
            }
        }

        return any;
    }

    public void Dispose() => NativeMemory.Free(_memory);

    private static Event? Read(Libc.Message* message, ushort via, ReadOnlySpan<byte> quoted)
    {
        var controls = new ControlMessages(message);
        while (message->NameLength > 0 && controls.Next())
        {
            if (controls is { Level: Libc.SOL_IP, Type: Libc.IP_RECVERR } or { Level: Libc.SOL_IPV6, Type: Libc.IPV6_RECVERR }
                && controls.Length >= sizeof(Libc.ExtendedError))
            {
                var error = (Libc.ExtendedError*)controls.Data;
                var remote = EndpointModule.via(via, Addresses.Read(new ReadOnlySpan<byte>(message->Name, (int)message->NameLength)));
                return error->Code switch
                {
                    EMSGSIZE => TooLong(remote, (int)error->Info),
                    ECONNREFUSED => PortUnreachable(remote, new Owned(quoted.ToArray())),
                    _ => null,
                };
            }
        }

        return null;
    }

    // A peer that has exited in the middle of a transfer draws thousands, which tell nothing.
    private static Event? PortUnreachable(Endpoint remote, Owned quoted)
    {
        var header = PacketModule.tryReadHeader(quoted.AsBorrowed);
        return header.IsSome && header.Value.Type == PacketType.Syn ? Event.NewPortUnreachable(remote, quoted) : null;
    }

    // The length of the datagram is not reported: it was longer than what passes.
    private static Event TooLong(Endpoint remote, int mtu)
    {
        var limit = Math.Max(0, mtu - (EndpointModule.isIPv4(remote) ? HeadersOfIPv4 : HeadersOfIPv6));
        return Event.NewTooLong(remote, limit + 1, limit);
    }
}
