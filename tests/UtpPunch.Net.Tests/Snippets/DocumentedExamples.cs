using System.Buffers;
using System.Net;
using System.Text;
using UtpPunch.Tests;

namespace UtpPunch.Snippets;

/// <summary>The examples of the documentation are compiled with these tests.</summary>
public static class DocumentedExamples
{
    private const string OfAspNetCore = "docs/aspnetcore.md";

    /// <summary>The pages with examples. Those of ASP.NET Core are compiled with its tests.</summary>
    public static IEnumerable<object> Pages { get; } = ["docs/files.md", "docs/library.md", "docs/telemetry.md", "docs/testing.md"];

    [Fact("the examples of {0} compile", Parallel = true)]
    [ForEach(typeof(DocumentedExamples), nameof(Pages))]
    public static Task Compiled(string page) =>
        UtpPunch.Tests.Snippets.AreCurrentAsync(page, $"tests/UtpPunch.Net.Tests/Snippets/{Path.GetFileNameWithoutExtension(page)}.Generated.cs");

    [Fact("the examples in the comments of UtpPunch.Net compile", Parallel = true)]
    public static Task CommentsCompiled() => UtpPunch.Tests.Snippets.CommentsAreCurrentAsync(
        "src/UtpPunch.Net", "tests/UtpPunch.Net.Tests/Snippets/Comments.Generated.cs", "System.Buffers", "System.Net", "System.Net.Sockets");

    [Fact("no project has an example in its comments that is not compiled", Parallel = true)]
    public static void AllProjects() =>
        Check.Equal("src/UtpPunch.AspNetCore src/UtpPunch.Net", string.Join(' ', UtpPunch.Tests.Snippets.ProjectsWithExamples()));

    [Fact("no page has an example that is not compiled", Parallel = true)]
    public static async Task AllPages() =>
        Check.Equal(string.Join(' ', [OfAspNetCore, .. Pages]), string.Join(' ', await UtpPunch.Tests.Snippets.PagesAsync()));
}

/// <summary>What examples of docs/library.md use of earlier ones.</summary>
internal static partial class LibrarySnippets
{
    private static async Task EchoAsync(UtpStream stream)
    {
        await using (stream)
        {
            await stream.CopyToAsync(stream);
        }
    }
}

/// <summary>What examples in comments use and do not declare.</summary>
internal static partial class CommentsSnippets
{
    private static EndPoint peer => new DnsEndPoint("peer.example", 9000);

    private static string message => "hello";

    private static byte[] file => [1, 2, 3];

    private static UtpPunchOffer offer => throw new InvalidOperationException("Examples are compiled, and do not run.");

    private static string peerOffer => "…";

    private static Task HandleAsync(UtpStream stream) => stream.DisposeAsync().AsTask();

    private static Task SendToPeerAsync(string text) => Console.Out.WriteLineAsync(text);

    private static async Task<string> ReceiveFromPeerAsync() => await Console.In.ReadLineAsync() ?? "";

    private static int Encode(string text, Span<byte> target) => Encoding.UTF8.GetBytes(text, target);

    private static bool TryParseLine(ref ReadOnlySequence<byte> buffer, out ReadOnlySequence<byte> line)
    {
        if (buffer.PositionOf((byte)'\n') is not { } end)
        {
            line = default;
            return false;
        }

        line = buffer.Slice(0, end);
        buffer = buffer.Slice(buffer.GetPosition(1, end));
        return true;
    }

    private static void Handle(ReadOnlySequence<byte> line) => Console.WriteLine(Encoding.UTF8.GetString(line));
}
