using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using UtpPunch.Tests;
using static UtpPunch.Interop.Interop;

namespace UtpPunch.Interop;

/// <summary>`utp rendezvous`, and `utp punch` and `utp cat` that meet there: each in a process of its own.</summary>
public static class ToolMeet
{
    [Fact("two utp punch meet, and exchange a greeting over a stream: the events in order, and code 0 on both sides")]
    [CarriesStreams]
    public static async Task Punch()
    {
        using var server = await ToolProcess.IntroduceAsync();
        using var one = Meet("punch --json", server);
        using var other = Meet("punch --json", server);
        foreach (var tool in new[] { one, other })
        {
            await tool.SucceedAsync();
            Check.Equal("registered, introduced, punched", string.Join(", ", tool.EventNames));
        }

        var seen = await one.EventAsync("punched");
        var introduced = await other.EventAsync("introduced");
        Check.That(seen.GetProperty("success").GetBoolean());
        Check.Equal("Host", seen.GetProperty("path").GetString());
        Check.Equal("EndpointIndependent", seen.GetProperty("mapping").GetString());
        Check.Equal(seen.GetProperty("observed").GetString(), introduced.GetProperty("peer").GetString());
        Check.Equal(PortOf(introduced, "peer"), PortOf(await other.EventAsync("punched"), "remote"));
        Check.That(seen.GetProperty("streamMs").GetDouble() > 0);
        Check.That(seen.GetProperty("probesSent").GetInt32() > 0);
    }

    [Fact("without --json utp punch prints its events as text")]
    public static async Task InWords()
    {
        using var server = await ToolProcess.IntroduceAsync();
        using var one = Meet("punch", server);
        using var other = Meet("punch", server);
        await one.SucceedAsync();
        await other.SucceedAsync();
        var lines = (await one.TextAsync()).Split('\n');
        foreach (var (line, beginning) in lines.Zip(["Registered as ", "Introduced to ", "Open to ", "A stream works: "]))
        {
            Check.That(line.StartsWith(beginning, StringComparison.Ordinal), $"'{line}' begins with '{beginning}'");
        }
    }

    [Fact("two utp cat meet, and exchange half a megabyte each way: equal by hash, and nothing but data on standard output")]
    [CarriesStreams]
    public static async Task Cat()
    {
        const int Count = 500_000;
        using var server = await ToolProcess.IntroduceAsync();
        using var one = Meet("cat --secret known-to-the-two-of-us", server);
        using var other = Meet("cat --secret known-to-the-two-of-us", server);
        await Task.WhenAll(one.SayAsync(PeerNoise.Bytes(OurSeed, Count)), other.SayAsync(PeerNoise.Bytes(TheirSeed, Count)));
        Check.Equal(Of(OurSeed, Count), await other.DigestAsync());
        Check.Equal(Of(TheirSeed, Count), await one.DigestAsync());
        await one.SucceedAsync();
        await other.SucceedAsync();
    }

    [Fact("a secret is the same from a file, from the environment and from the command line")]
    public static async Task Secrets()
    {
        var file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(file, "known to the two of us\n");
            using var server = await ToolProcess.IntroduceAsync();
            using var one = Meet($"punch --secret-file {file}", server);
            using var other = ToolProcess.StartWithin(["env", "UTP_SECRET=known to the two of us"], $"punch --rendezvous {server.EndPoint} --room den");
            await one.SucceedAsync();
            await other.SucceedAsync();
            await File.WriteAllTextAsync(file, "one-long-word-is-a-secret\n");
            using var third = Meet($"punch --secret-file {file}", server);
            using var fourth = Meet("punch --secret one-long-word-is-a-secret", server);
            await third.SucceedAsync();
            await fourth.SucceedAsync();
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact("a secret of fewer than 16 characters draws a warning on standard error")]
    public static async Task ShortSecret()
    {
        using var server = await ToolProcess.IntroduceAsync();
        using var tool = Meet("punch --connect-timeout 1 --secret fifteen-letters", server);
        Check.Equal(3, await tool.ExitAsync());
        Check.That(tool.ErrorOutput.StartsWith("utp: warning: the secret has fewer than 16 characters", StringComparison.Ordinal));
    }

    [Fact("peers with different secrets do not meet: code 3 on both sides, and the reason as the last event")]
    public static async Task AnotherSecret()
    {
        using var server = await ToolProcess.IntroduceAsync();
        using var one = Meet("punch --json --connect-timeout 2 --secret one-long-word-is-a-secret", server);
        using var other = Meet("punch --json --connect-timeout 2", server);
        foreach (var tool in new[] { one, other })
        {
            Check.That((await tool.FailAsync(3)).Contains("No peer entered", StringComparison.Ordinal));
            var end = await tool.EventAsync("punched");
            Check.Equal("registered, punched", string.Join(", ", tool.EventNames));
            Check.That(!end.GetProperty("success").GetBoolean());
            Check.Equal("NoPeer", end.GetProperty("stage").GetString());
        }
    }

    [Fact("utp cat without a peer in the room is code 3")]
    public static async Task LonelyCat()
    {
        using var server = await ToolProcess.IntroduceAsync();
        using var tool = Meet("cat --connect-timeout 1", server);
        Check.That((await tool.FailAsync(3)).Contains("No peer entered", StringComparison.Ordinal));
    }

    [Fact("a rendezvous that is silent is code 3, and named as the reason")]
    public static async Task SilentServer()
    {
        using var silent = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        silent.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        using var tool = ToolProcess.Start($"punch --rendezvous {silent.LocalEndPoint} --room den --connect-timeout 1 --json");
        Check.That((await tool.FailAsync(3)).Contains("server did not answer", StringComparison.Ordinal));
        Check.Equal("ServerSilent", (await tool.EventAsync("punched")).GetProperty("stage").GetString());
    }

    [Fact("a rendezvous whose name has no address is code 1, and the last event is HostNotFound")]
    public static async Task NoSuchName()
    {
        using var tool = ToolProcess.Start("punch --rendezvous no-such-name.invalid:5 --room den --json");
        Check.That((await tool.FailAsync(1)).Contains("no-such-name.invalid", StringComparison.Ordinal));
        Check.Equal("HostNotFound", (await tool.EventAsync("punched")).GetProperty("stage").GetString());
    }

    [Fact("utp punch --legacy finds a node that punches as the npm package does, at another port than the given one: code 0", Parallel = true)]
    public static async Task Legacy()
    {
        using var silent = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        silent.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        await using var node = UtpNode.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        var punch = node.PunchNpmAsync(silent.LocalEndPoint!, attempts: 60).AsTask();
        using var tool = ToolProcess.Start($"punch --legacy --attempts 20 --json 127.0.0.1 {node.LocalEndPoint.Port}");
        var end = await tool.EventAsync("punched");
        Check.That(end.GetProperty("success").GetBoolean());
        Check.Equal($"{node.LocalEndPoint}", end.GetProperty("remote").GetString());
        Check.That((await punch).Success);
        await tool.SucceedAsync();
    }

    [Fact("a peer that never punches back is code 4")]
    public static async Task NoAnswer()
    {
        using var silent = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        silent.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        var target = (IPEndPoint)silent.LocalEndPoint!;
        using var tool = ToolProcess.Start($"punch --legacy --attempts 2 127.0.0.1 {target.Port}");
        Check.That((await tool.FailAsync(4)).Contains($"No packet of {target} arrived", StringComparison.Ordinal));
    }

    [Fact("SIGTERM and Ctrl-C end a rendezvous, which prints its totals: codes 143 and 130")]
    public static async Task StoppedServer()
    {
        Skip.Unless(OperatingSystem.IsLinux(), "needs signals");
        using var server = await ToolProcess.IntroduceAsync();
        using var one = Meet("punch", server);
        using var other = Meet("punch", server);
        await one.SucceedAsync();
        await other.SucceedAsync();
        server.Terminate();
        Check.Equal(143, await server.ExitAsync());
        Check.Equal("", server.ErrorOutput);
        Check.Equal(1, (await server.EventAsync("stopped")).GetProperty("introduced").GetInt32());

        using var second = ToolProcess.Start("rendezvous --bind 127.0.0.1:0");
        await second.TextAsync("listening on 127.0.0.1:".Length);
        second.Interrupt();
        Check.Equal(130, await second.ExitAsync());
        var said = await second.TextAsync();
        Check.That(said.EndsWith("introduced 0 pairs; 0 peers waiting; 0 datagrams dropped\n", StringComparison.Ordinal), said);
    }

    [Fact("SIGTERM while it waits for a peer ends utp punch, code 143")]
    public static async Task StoppedPunch()
    {
        Skip.Unless(OperatingSystem.IsLinux(), "needs signals");
        using var server = await ToolProcess.IntroduceAsync();
        using var tool = Meet("punch --json", server);
        await tool.EventAsync("registered");
        tool.Terminate();
        Check.Equal("utp: interrupted", await tool.FailAsync(143));
        Check.Equal("Cancelled", (await tool.EventAsync("punched")).GetProperty("stage").GetString());
    }

    [Fact("a rendezvous whose port is taken is code 1, and the line names it")]
    public static async Task PortTaken()
    {
        using var server = await ToolProcess.IntroduceAsync();
        using var tool = ToolProcess.Start($"rendezvous --bind {server.EndPoint}");
        Check.Equal($"utp: {server.EndPoint} cannot be bound: a port is in use", await tool.FailAsync(1));
    }

    private static ToolProcess Meet(string words, ToolProcess server) =>
        ToolProcess.Start($"{words} --rendezvous {server.EndPoint} --room den");

    private static int PortOf(JsonElement happened, string name) => IPEndPoint.Parse(happened.GetProperty(name).GetString()!).Port;
}
