using UtpPunch.Protocol;
using UtpPunch.Tracing;

namespace UtpPunch.Cli.Traces;

/// <summary>The meaning of a packet's extension bits in words (docs/mtu.md).</summary>
internal static class TraceBits
{
    public static string Words(TracePacket packet)
    {
        var size = ExtensionBits.sizeOf(packet.Bits);
        return ExtensionBits.kindOf(packet.Bits) switch
        {
            ExtensionBits.Kind.Hello => $"takes {size}",
            ExtensionBits.Kind.Probe => $"probe {ExtensionBits.idOf(packet.Bits)} of {size}",
            ExtensionBits.Kind.Answer => $"answer to probe {ExtensionBits.idOf(packet.Bits)} of {size}",
            ExtensionBits.Kind.Challenge => "challenge",
            ExtensionBits.Kind.Response => $"response to {ExtensionBits.stampOf(packet.Bits)}",
            ExtensionBits.Kind.KeyShare => "key share",
            _ => packet.Bits == 0 ? "" : $"bits {packet.Bits:x16}",
        };
    }
}
