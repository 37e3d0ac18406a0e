using UtpPunch.Tests;
using static UtpPunch.Interop.Interop;

namespace UtpPunch.Interop;

/// <summary>`utp cat` with the libraries of npm, in the dialect of each, in both roles.</summary>
[CarriesStreams]
public static class ToolPeers
{
    private const int Count = 50_000;

    [Fact("utp cat dials utp-native: fifty kilobytes each way")]
    public static Task DialNative() => DialAsync(NpmPeer.Native, "bep29");

    [Fact("utp-native dials utp cat: fifty kilobytes each way")]
    public static Task NativeDials() => ListenAsync(NpmPeer.Native, "bep29");

    [Fact("utp cat dials utp-punch: fifty kilobytes each way")]
    public static Task DialPunch() => DialAsync(NpmPeer.Punch, "utp-punch");

    [Fact("utp-punch dials utp cat: fifty kilobytes each way")]
    public static Task PunchDials() => ListenAsync(NpmPeer.Punch, "utp-punch");

    private static async Task DialAsync(string library, string dialect)
    {
        Skip.Unless(NpmPeer.IsAvailable, NpmPeer.Missing);
        using var peer = await NpmPeer.ServeAsync(library, "exchange", Count, TheirSeed);
        using var tool = ToolProcess.Dial(peer.EndPoint, $"--dialect {dialect}");
        await ExchangeAsync(tool, peer, library);
    }

    private static async Task ListenAsync(string library, string dialect)
    {
        Skip.Unless(NpmPeer.IsAvailable, NpmPeer.Missing);
        using var tool = await ToolProcess.ListenAsync($"--dialect {dialect}");
        using var peer = await NpmPeer.DialAsync(library, tool.EndPoint, "exchange", Count, TheirSeed);
        await ExchangeAsync(tool, peer, library);
    }

    // utp-punch has no half-close: the end of one direction is the end of both. So we end when both have everything.
    private static async Task ExchangeAsync(ToolProcess tool, NpmPeer peer, string library)
    {
        await tool.SayAsync(PeerNoise.Bytes(OurSeed, Count), end: false);
        Check.Equal(Of(TheirSeed, Count), await tool.DigestAsync(length: Count));
        if (library == NpmPeer.Punch)
        {
            Check.Equal(Of(OurSeed, Count), await ReceivedByAsync(peer));
        }

        tool.EndInput();
        Check.Equal(Of(OurSeed, Count), await ReceivedByAsync(peer));
        await tool.SucceedAsync();
        Check.Equal(Of(TheirSeed, Count), await tool.DigestAsync());
    }
}
