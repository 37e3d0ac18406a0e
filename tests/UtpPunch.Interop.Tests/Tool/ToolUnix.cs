using System.Net;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>The tool behaves as Unix tools do with pipes, closed descriptors and missing files.</summary>
public static class ToolUnix
{
    private const int Failure = 1;
    private const int Usage = 2;
    private const int BrokenPipe = 141;

    private static readonly string[] s_withoutOutput = ["sh", "-c", "exec \"$@\" >&-", "sh"];

    [Fact("when the reader of its output has gone, utp ends without a message, code 141")]
    public static async Task ReaderHasGone()
    {
        Skip.Unless(!OperatingSystem.IsWindows(), "a Windows console does not report it");
        using var tool = ToolProcess.Start($"trace {TraceFiles.Sample}", gather: false);
        tool.CloseOutput();
        Check.Equal(BrokenPipe, await tool.ExitAsync());
        Check.Equal("", tool.ErrorOutput);
    }

    [Fact("when the reader of utp cat has gone, the peer receives a reset")]
    public static async Task CatReaderHasGone()
    {
        Skip.Unless(!OperatingSystem.IsWindows(), "a Windows console does not report it");
        using var tool = await ToolProcess.ListenAsync(gather: false);
        await using var node = UtpNode.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        await using var stream = await node.ConnectAsync(tool.EndPoint);
        tool.CloseOutput();
        await stream.WriteAsync(new byte[1000]);
        Check.Equal(BrokenPipe, await tool.ExitAsync());
        Check.Equal("", tool.ErrorOutput);
        var reset = await Check.ThrowsAsync<UtpException>(() => stream.ReadAsync(new byte[1]).AsTask());
        Check.Equal(UtpError.ConnectionReset, reset.Error);
    }

    [Fact("without a standard output text fails, code 1, and so does utp cat when data arrives")]
    public static async Task NoOutput()
    {
        Skip.Unless(!OperatingSystem.IsWindows(), "needs sh");
        using var help = ToolProcess.StartWithin(s_withoutOutput, "--help");
        Check.Equal("utp: standard output is closed", await help.FailAsync(Failure));
        using var trace = ToolProcess.StartWithin(s_withoutOutput, $"trace {TraceFiles.Sample}");
        Check.Equal("utp: standard output is closed", await trace.FailAsync(Failure));

        using var cat = ToolProcess.StartWithin(s_withoutOutput, "cat --listen --bind 127.0.0.1:0");
        await using var node = UtpNode.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        await using var stream = await node.ConnectAsync(await cat.WhereAsync());
        await stream.WriteAsync(new byte[1000]);
        Check.Equal("utp: standard output cannot be written: standard output is closed", await cat.FailAsync(Failure));
        var reset = await Check.ThrowsAsync<UtpException>(() => stream.ReadAsync(new byte[1]).AsTask());
        Check.Equal(UtpError.ConnectionReset, reset.Error);
    }

    [Fact("a missing file gives the same line and code 1 with every command")]
    public static async Task MissingFile()
    {
        using var files = new TraceFiles();
        var file = files.At("none");
        foreach (var words in new[]
        {
            $"trace {file}", $"replay {file}", $"sim --scenario {file}", $"punch --rendezvous h:1 --room x --secret-file {file}",
        })
        {
            using var tool = ToolProcess.Start(words);
            Check.Equal($"utp: {file} cannot be read: there is no such file", await tool.FailAsync(Failure), words);
        }
    }

    [Fact("a secret that is empty or blank is refused, wherever it stands, instead of meaning no secret")]
    public static async Task EmptySecrets()
    {
        const string Punch = "punch --rendezvous h:1 --room x";
        using var files = new TraceFiles();
        foreach (var secret in new[] { "", "  " })
        {
            using var variable = ToolProcess.StartWithin(["env", $"UTP_SECRET={secret}"], Punch);
            Check.Equal("utp: UTP_SECRET is set, but empty (unset it to meet without a secret)", await variable.FailAsync(Failure));
            var file = files.Write("secret", [secret, "the second line"]);
            using var tool = ToolProcess.Start($"{Punch} --secret-file {file}");
            Check.Equal($"utp: {file} has no secret in its first line", await tool.FailAsync(Failure));
        }

        using var none = ToolProcess.Start($"{Punch} --secret-file {files.Write("none", [])}");
        Check.That((await none.FailAsync(Failure)).EndsWith("has no secret in its first line", StringComparison.Ordinal));
        using var option = ToolProcess.StartWords([.. Punch.Split(' '), "--secret", " "]);
        Check.That((await option.FailAsync(Usage)).StartsWith("utp: --secret is empty", StringComparison.Ordinal));
    }

    [Fact("a secret file that other users may read draws a warning, and is used")]
    public static async Task ReadableSecret()
    {
        if (OperatingSystem.IsWindows())
        {
            Skip.Unless(false, "Windows has no file modes");
            return;
        }

        using var files = new TraceFiles();
        var file = files.Write("secret", ["only the two of us know"]);
        var words = $"punch --rendezvous 127.0.0.1:1 --room x --connect-timeout 0.1 --secret-file {file}";
        const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        foreach (var (mode, count) in new[]
        {
            (Private, 1), (Private | UnixFileMode.GroupRead, 2), (Private | UnixFileMode.OtherRead, 2),
        })
        {
            File.SetUnixFileMode(file, mode);
            using var tool = ToolProcess.Start(words);
            await tool.ExitAsync();
            var lines = tool.ErrorOutput.Split('\n');
            Check.Equal(count, lines.Length, $"{mode}: {tool.ErrorOutput}");
            var warning = $"utp: warning: other users can read {file} (chmod 600 makes it private)";
            Check.Equal(count == 2, lines[0] == warning, $"{mode}: {lines[0]}");
        }
    }

    [Fact("a rendezvous that introduced one pair prints the singular")]
    public static async Task OnePair()
    {
        Skip.Unless(OperatingSystem.IsLinux(), "needs signals");
        using var server = ToolProcess.Start("rendezvous --bind 127.0.0.1:0");
        const string Listening = "listening on ";
        var address = (await server.LineAsync())[Listening.Length..];
        using var one = ToolProcess.Start($"punch --rendezvous {address} --room den");
        using var other = ToolProcess.Start($"punch --rendezvous {address} --room den");
        await one.SucceedAsync();
        await other.SucceedAsync();
        server.Terminate();
        Check.Equal(143, await server.ExitAsync());
        var text = await server.TextAsync();
        Check.That(text.EndsWith("introduced 1 pair; 0 peers waiting; 0 datagrams dropped\n", StringComparison.Ordinal), text);
    }
}
