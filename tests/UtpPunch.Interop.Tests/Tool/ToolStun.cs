using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>`utp stun` and `utp rendezvous --stun`, each in a process of its own, with each other and with coturn.</summary>
public static class ToolStun
{
    [Fact("utp stun learns its port from coturn, and that there is neither a NAT nor a filter")]
    public static async Task AskCoturn()
    {
        using var coturn = await Coturn.StartAsync();
        var bind = FreeEndPoint();
        using var tool = ToolProcess.Start($"stun {coturn.Primary} --bind {bind} --json");
        await tool.SucceedAsync();
        await SeesNoNatAsync(tool, bind, coturn.Primary);
    }

    [Fact("utp stun learns the same from utp rendezvous --stun with two ports of two addresses")]
    public static async Task AskOurs()
    {
        using var server = await ServeAsync();
        var bind = FreeEndPoint();
        using var tool = ToolProcess.Start($"stun {server.EndPoint} --bind {bind} --json");
        await tool.SucceedAsync();
        await SeesNoNatAsync(tool, bind, server.EndPoint);
    }

    [Fact("without --json utp stun prints the mapped address, the mapping, the filtering, and what they mean for punching")]
    public static async Task InWords()
    {
        using var server = await ServeAsync();
        var bind = FreeEndPoint();
        using var tool = ToolProcess.Start($"stun {server.EndPoint} --bind {bind}");
        await tool.SucceedAsync();
        var lines = (await tool.TextAsync()).TrimEnd().Split('\n');
        Check.Equal(4, lines.Length);
        foreach (var (line, beginning) in lines.Zip(
            [$"Mapped address: {bind} (seen by {server.EndPoint}", "Mapping: no NAT", "Filtering: endpoint-independent", "Hole punching: the best case"]))
        {
            Check.That(line.StartsWith(beginning, StringComparison.Ordinal), $"'{line}' begins with '{beginning}'");
        }
    }

    [Fact("with a server that has one address the filtering is unknown")]
    public static async Task OneAddress()
    {
        using var server = await ToolProcess.IntroduceAsync("--stun");
        using var tool = ToolProcess.Start($"stun {server.EndPoint}");
        await tool.SucceedAsync();
        var text = await tool.TextAsync();
        Check.That(text.Contains("Filtering: unknown", StringComparison.Ordinal), text);
    }

    [Fact("when the first server is silent the second one answers")]
    public static async Task SecondServer()
    {
        using var silent = Silent();
        using var server = await ToolProcess.IntroduceAsync("--stun");
        using var tool = ToolProcess.Start($"stun {silent.LocalEndPoint} {server.EndPoint} --json");
        await tool.SucceedAsync();
        Check.Equal($"{server.EndPoint}", (await tool.EventAsync("discovered")).GetProperty("server").GetString());
    }

    [Fact("coturn's stunclient accepts utp rendezvous --stun, and is answered from its other address and port")]
    public static async Task ServeStunClient()
    {
        Skip.Unless(Coturn.IsAvailable, Coturn.Missing);
        using var server = await ServeAsync();
        var (output, _) = await OtherTool.RunAsync(
            OtherTool.Find("turnutils_stunclient")!, "-f", "-p", $"{server.EndPoint.Port}", "-L", "127.0.0.1", "127.0.0.1");
        Check.That(output.Contains($"Response origin: : {server.EndPoint}", StringComparison.Ordinal), output);
        Check.That(output.Contains("UDP reflexive addr: 127.0.0.1:", StringComparison.Ordinal), output);
        Check.That(output.Contains("RFC 5780 response 3", StringComparison.Ordinal), output);
    }

    [Fact("a STUN server that is silent is code 1, named on standard error, and the reason in the line of JSON", Parallel = true)]
    public static async Task Silence()
    {
        using var silent = Silent();
        using var tool = ToolProcess.Start($"stun {silent.LocalEndPoint} --json");
        var errorLine = await tool.FailAsync(1);
        Check.That(errorLine.Contains($"The STUN server {silent.LocalEndPoint} did not answer", StringComparison.Ordinal), errorLine);
        var end = await tool.EventAsync("discovered");
        Check.Equal("discovered", string.Join(", ", tool.EventNames));
        Check.That(!end.GetProperty("success").GetBoolean());
        Check.Equal("DiscoveryFailed", end.GetProperty("stage").GetString());
    }

    [Fact("a silent server is named as it was given", Parallel = true)]
    public static async Task SilentName()
    {
        using var silent = Silent();
        var port = ((IPEndPoint)silent.LocalEndPoint!).Port;
        using var tool = ToolProcess.Start($"stun localhost:{port}");
        var errorLine = await tool.FailAsync(1);
        Check.That(errorLine.StartsWith($"utp: The STUN server localhost:{port} did not answer", StringComparison.Ordinal), errorLine);
    }

    [Fact("a rendezvous does not answer STUN without --stun", Parallel = true)]
    public static async Task NotByDefault()
    {
        using var server = await ToolProcess.IntroduceAsync();
        using var tool = ToolProcess.Start($"stun {server.EndPoint}");
        Check.That((await tool.FailAsync(1)).Contains("did not answer", StringComparison.Ordinal));
    }

    private static async Task SeesNoNatAsync(ToolProcess tool, IPEndPoint bind, IPEndPoint server)
    {
        JsonElement seen = await tool.EventAsync("discovered");
        Check.Equal("discovered", string.Join(", ", tool.EventNames));
        Check.That(seen.GetProperty("success").GetBoolean());
        Check.Equal($"{bind}", seen.GetProperty("mapped").GetString());
        Check.Equal($"{server}", seen.GetProperty("server").GetString());
        Check.Equal("NoNat", seen.GetProperty("mapping").GetString());
        Check.Equal("EndpointIndependent", seen.GetProperty("filtering").GetString());
    }

    /// <summary>RFC 5780's four sockets. If another process takes one before the server does, others are tried.</summary>
    private static async Task<ToolProcess> ServeAsync()
    {
        Skip.Unless(OperatingSystem.IsLinux(), "needs 127.0.0.2");
        for (var attempt = 1; ; attempt++)
        {
            var sockets = StunSockets.BindFour();
            var binds = string.Join(' ', sockets.Select(socket => $"--bind {socket.Client.LocalEndPoint}"));
            Array.ForEach(sockets, socket => socket.Dispose());
            var tool = ToolProcess.Start($"rendezvous --stun --json {binds}");
            if (await tool.ListensAsync())
            {
                return tool;
            }

            tool.Dispose();
            Check.That(attempt < 3, $"{tool} listens");
        }
    }

    private static Socket Silent()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return socket;
    }

    /// <summary>A port that was free a moment ago.</summary>
    private static IPEndPoint FreeEndPoint()
    {
        using var socket = Silent();
        return (IPEndPoint)socket.LocalEndPoint!;
    }
}
