using System.Net;

namespace UtpPunch.Tests;

/// <summary>The example of README.md for two machines behind NATs is the sample's own text, and two of it meet.</summary>
public static class SampleMeeting
{
    private static readonly Sample s_sample = new("Meeting");

    [Fact("the README's example of a meeting is samples/Meeting/Program.cs, letter by letter")]
    public static Task Quoted() => s_sample.IsQuotedAsync();

    [Fact("two processes of the meeting sample meet at a rendezvous, and each hears the other's hello")]
    public static async Task Runs()
    {
        var loopback = new IPEndPoint(IPAddress.Loopback, 0);
        await using var server = UtpRendezvousServer.Bind(new UtpRendezvousServerOptions { LocalEndPoints = [loopback, loopback] });
        string[] words = [$"{server.LocalEndPoints[0]}", "a room"];
        var runs = await Task.WhenAll(s_sample.RunWithSecretAsync("a secret", words), s_sample.RunWithSecretAsync("a secret", words));
        foreach (var (here, there) in new[] { (runs[0], runs[1]), (runs[1], runs[0]) })
        {
            Check.That(here.Lines[0].Contains(" is connected to ", StringComparison.Ordinal));
            Check.Equal($"hello from {there.ProcessId}", here.Lines[1]);
            Check.Equal(2, here.Lines.Length);
        }
    }
}
