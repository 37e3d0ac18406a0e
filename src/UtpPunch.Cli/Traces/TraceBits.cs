using UtpPunch.Protocol;
using UtpPunch.Tracing;

namespace UtpPunch.Cli.Traces;

/// <summary>What the extension bits of a packet say, in words: docs/mtu.md.</summary>
internal static class TraceBits
{
    public static string Words(TraceDatagram datagram)
    {
        var size = ExtensionBits.sizeOf(datagram.Bits);
        return ExtensionBits.kindOf(datagram.Bits) switch
        {
            ExtensionBits.Kind.Hello => $"takes {size}",
            ExtensionBits.Kind.Probe => $"probe {ExtensionBits.idOf(datagram.Bits)} of {size}",
            ExtensionBits.Kind.Answer => $"answer to probe {ExtensionBits.idOf(datagram.Bits)} of {size}",
            _ => datagram.Bits == 0 ? "" : $"bits {datagram.Bits:x16}",
        };
    }
}
