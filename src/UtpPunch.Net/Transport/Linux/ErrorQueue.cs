using System.Runtime.InteropServices;
using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>
/// The errors that the kernel and ICMP report about datagrams that were sent (IP_RECVERR). Only "too long" is used: an ICMP packet can be
/// forged by any host that guesses an address, so that everything else is left to the protocol's own timers.
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

    private readonly byte* _memory = (byte*)NativeMemory.AllocZeroed(NameSize + ControlSize);

    /// <summary>Empties the queue of a socket.</summary>
    /// <param name="channel">The socket.</param>
    /// <param name="tooLong">Is told, for each datagram that was too long, its target and the longest payload that the path takes.</param>
    /// <returns>Whether anything was in the queue.</returns>
    public bool Drain(UdpChannel channel, Action<Endpoint, int> tooLong)
    {
        var any = false;
        for (var count = 0; count < MaxErrors; count++)
        {
            var message = new Libc.Message
            {
                Name = _memory,
                NameLength = NameSize,
                Control = _memory + NameSize,
                ControlLength = ControlSize,
            };
            if (Libc.Receive(channel.Handle, &message, Libc.MSG_ERRQUEUE | Libc.MSG_DONTWAIT) < 0)
            {
                break;
            }

            any = true;
            Read(&message, channel.Via, tooLong);
        }

        return any;
    }

    public void Dispose() => NativeMemory.Free(_memory);

    private static void Read(Libc.Message* message, ushort via, Action<Endpoint, int> tooLong)
    {
        var controls = new ControlMessages(message);
        while (controls.Next())
        {
            if (controls is { Level: Libc.SOL_IP, Type: Libc.IP_RECVERR } or { Level: Libc.SOL_IPV6, Type: Libc.IPV6_RECVERR }
                && controls.Length >= sizeof(Libc.ExtendedError)
                && ((Libc.ExtendedError*)controls.Data)->Code == EMSGSIZE
                && message->NameLength > 0)
            {
                var remote = Addresses.Read(new ReadOnlySpan<byte>(message->Name, (int)message->NameLength));
                var headers = EndpointModule.isIPv4(remote) ? HeadersOfIPv4 : HeadersOfIPv6;
                tooLong(EndpointModule.via(via, remote), Math.Max(0, (int)((Libc.ExtendedError*)controls.Data)->Info - headers));
            }
        }
    }
}
