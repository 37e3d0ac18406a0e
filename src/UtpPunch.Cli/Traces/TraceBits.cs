using UtpPunch.Protocol;

namespace UtpPunch.Cli.Traces;

/// <summary>What the extension bits of a packet say, in words: docs/mtu.md.</summary>
internal static class TraceBits
{
    public static string Words(TraceDatagram datagram)
    {
        var size = MtuBits.sizeOf(datagram.Bits);
        return MtuBits.kindOf(datagram.Bits) switch
        {
            MtuBits.Kind.Hello => $"takes {size}",
            MtuBits.Kind.Probe => $"probe {MtuBits.idOf(datagram.Bits)} of {size}",
            MtuBits.Kind.Answer => $"answer to probe {MtuBits.idOf(datagram.Bits)} of {size}",
            _ => datagram.Bits == 0 ? "" : $"bits {datagram.Bits:x16}",
        };
    }
}
