namespace UtpPunch.Tests;

/// <summary>The first example of README.md is the sample's own text, and the sample runs.</summary>
public static class SampleHelloWorld
{
    private static readonly Sample s_sample = new("HelloWorld");

    [Fact("the README's hello-world example is samples/HelloWorld/Program.cs, letter by letter")]
    public static Task Quoted() => s_sample.IsQuotedAsync();

    [Fact("the hello-world sample prints what the original's example prints, each side in its order")]
    public static async Task Runs()
    {
        var (lines, _) = await s_sample.RunAsync();
        Check.Equal("ready, socket connected, received 'hello', socket disconnected", SaidBy("server", lines));
        Check.Equal("socket connected, received 'world', socket disconnected", SaidBy("client", lines));
    }

    // The two sides run side by side, so only the order of each is certain.
    private static string SaidBy(string side, string[] lines) =>
        string.Join(", ", lines.Where(line => line.StartsWith(side, StringComparison.Ordinal)).Select(line => line[(side.Length + 2)..]));
}
