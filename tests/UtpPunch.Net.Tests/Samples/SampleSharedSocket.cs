namespace UtpPunch.Tests;

/// <summary>The transport of docs/testing.md is the sample's own text, and the sample runs.</summary>
public static class SampleSharedSocket
{
    private static readonly Sample s_sample = new("SharedSocket");

    [Fact("the transport in docs/testing.md is samples/SharedSocket/SharedSocket.cs, letter by letter")]
    public static Task Quoted() => s_sample.IsQuotedAsync("SharedSocket.cs", "docs/testing.md");

    [Fact("the shared-socket sample sends a megabyte and ten datagrams of its own over one port")]
    public static async Task Runs()
    {
        var (lines, _) = await s_sample.RunAsync();
        Check.Equal("received 1000000 bytes and 10 moves over one port", lines[0]);
    }
}
