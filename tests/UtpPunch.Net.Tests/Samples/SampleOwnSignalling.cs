using System.Net;

namespace UtpPunch.Tests;

/// <summary>The example of docs/punching.md for offers that the application carries is the sample's own text, and two of it connect.</summary>
public static class SampleOwnSignalling
{
    private static readonly Sample s_sample = new("OwnSignalling");

    [Fact("the example of offers in docs/library.md is samples/OwnSignalling/Program.cs, letter by letter")]
    public static Task Quoted() => s_sample.IsQuotedAsync(page: "docs/library.md");

    [Fact("two processes of the sample exchange offers over their standard input and output, and each hears the other's hello")]
    public static async Task Runs()
    {
        var loopback = new IPEndPoint(IPAddress.Loopback, 0);
        await using var server = UtpRendezvousServer.Bind(new UtpRendezvousServerOptions { LocalEndPoints = [loopback, loopback], EnableStun = true });
        string[] servers = [.. server.LocalEndPoints.Select(it => $"{it}")];
        var (one, other) = await s_sample.RunPairAsync(["offer", .. servers], ["answer", .. servers]);
        foreach (var (here, there) in new[] { (one, other), (other, one) })
        {
            Check.Equal(3, here.Lines.Length);
            Check.That(here.Lines[1].StartsWith("Open to ", StringComparison.Ordinal), here.Lines[1]);
            Check.Equal($"hello from {there.ProcessId}", here.Lines[2]);
        }
    }
}
