using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>Text of a server, of a file or of a name never reaches the terminal with control characters in it.</summary>
public static class ToolTerminal
{
    private const int Failure = 1;
    private const int Usage = 2;

    /// <summary>Sets the title, moves the cursor, deletes, and reorders: C0, DEL, C1, and a bidirectional override.</summary>
    private const string Hostile = "\e]0;owned\a\e[2J\b\u007F\u009B1A\u202Egnp";

    private const string Escaped = @"\u001b]0;owned\u0007\u001b[2J\u0008\u007f\u009b1A\u202egnp";

    [Fact("the reason of a STUN server that refuses is escaped, in text and in JSON")]
    public static async Task StunReason()
    {
        using var server = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        server.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        var serving = RefuseAsync(server);
        using var text = ToolProcess.Start($"stun {server.LocalEndPoint}");
        var line = await text.FailAsync(Failure);
        Check.That(line.Contains(Escaped, StringComparison.Ordinal), line);
        using var json = ToolProcess.Start($"stun {server.LocalEndPoint} --json");
        await json.FailAsync(Failure);
        IsSafe(await json.TextAsync());
        var explanation = (await json.EventAsync("discovered")).GetProperty("explanation").GetString()!;
        Check.That(explanation.Contains(Hostile, StringComparison.Ordinal), "JSON has the reason unchanged");
        server.Dispose();
        await serving;
    }

    [Fact("the title, the names, the events and the violations of a trace are escaped")]
    public static async Task Trace()
    {
        using var files = new TraceFiles();
        var file = files.Write("hostile.utrace",
        [
            "#utrace 3",
            $"# {Hostile}",
            $"#node A{Hostile} 10.0.0.1:5000{Hostile}",
            $"    0.100000 . net eclipse{Hostile}  of={Hostile}",
            $"    0.100000 A{Hostile} in  {Hostile} {Hostile}",
            $"    0.100000 A{Hostile} out pkt       p=1 to=10.0.0.2:6000 i=1/1 SYN seq=1 id=1 ack=0 wnd=0 ts=0 td=0 len=0",
            $"    0.100000 . net fate p=1 lost={Hostile}",
            $"    0.200000 A{Hostile} chk violation S1 {Hostile}",
        ]);
        var text = await TraceFiles.ShowAsync(file);
        IsSafe(text);
        Check.Equal(11, text.Split(Escaped).Length, text);
    }

    [Fact("the lines of a trace that a replay quotes are escaped")]
    public static async Task Replay()
    {
        using var files = new TraceFiles();
        var recorded = files.At("recorded.utrace");
        var scenario = Path.Combine(TraceFiles.Sample, "../../../corpus/silent-dialler.scenario");
        using var sim = ToolProcess.Start($"sim --scenario {scenario} --trace {recorded}");
        await sim.SucceedAsync();
        var lines = File.ReadAllLines(recorded).Where(line => !line.StartsWith("#end", StringComparison.Ordinal)).ToArray();
        var effect = Array.FindIndex(lines, line => line.Contains(" A out pkt", StringComparison.Ordinal));
        lines[effect] += $" odd={Hostile}";
        var file = files.Write("hostile.utrace", lines);
        using var tool = ToolProcess.Start($"replay {file}");
        await tool.FailAsync(Failure);
        IsSafe(await tool.TextAsync());
        using var inputs = ToolProcess.Start($"replay {file} --mode inputs-only");
        await inputs.SucceedAsync();
        IsSafe(await inputs.TextAsync());
    }

    [Fact("errors escape what they quote of a scenario, of a trace, of a file name and of the command line")]
    public static async Task Quotations()
    {
        using var files = new TraceFiles();
        var scenario = files.Write("hostile.scenario", ["{Seed " + Hostile + "}"]);
        await QuotesAsync(Failure, "sim", "--scenario", scenario);
        await QuotesAsync(Failure, "replay", files.Write("version.utrace", [$"#utrace {Hostile}"]));
        await QuotesAsync(Failure, "trace", files.Write("kind.utrace", ["#utrace 3", $"    0.000000 {Hostile} in  step now=0"]));
        await QuotesAsync(Failure, "trace", files.At(Hostile));
        await QuotesAsync(Failure, "punch", "--rendezvous", "h:1", "--room", "x", "--secret-file", files.At(Hostile));
        await QuotesAsync(Usage, Hostile);
        await QuotesAsync(Usage, "cat", Hostile, "1");
    }

    private static async Task QuotesAsync(int code, params string[] words)
    {
        using var tool = ToolProcess.StartWords(words);
        var line = await tool.FailAsync(code);
        IsSafe(line);
        // A parser of words may quote the beginning only.
        Check.That(line.Contains(Escaped[..6], StringComparison.Ordinal), line);
    }

    private static void IsSafe(string text) =>
        Check.That(!text.Any(it => (char.IsControl(it) && it != '\n') || it == '\u202E'), $"no control characters in {text}");

    /// <summary>Answers each request with 400 and the hostile reason, until the socket is closed.</summary>
    private static async Task RefuseAsync(Socket server)
    {
        var buffer = new byte[1500];
        try
        {
            while (true)
            {
                var request = await server.ReceiveFromAsync(buffer, new IPEndPoint(IPAddress.Any, 0));
                await server.SendToAsync(Refusal(buffer.AsSpan(4, 16)), request.RemoteEndPoint);
            }
        }
        catch (Exception error) when (error is ObjectDisposedException or SocketException)
        {
        }
    }

    // RFC 8489: type, length, cookie and transaction id, and the attribute ERROR-CODE.
    private static byte[] Refusal(ReadOnlySpan<byte> cookieAndId)
    {
        var reason = Encoding.UTF8.GetBytes(Hostile);
        var padded = (reason.Length + 3) / 4 * 4;
        var message = new byte[20 + 8 + padded];
        BinaryPrimitives.WriteUInt16BigEndian(message, 0x0111);
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(2), (ushort)(8 + padded));
        cookieAndId.CopyTo(message.AsSpan(4));
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(20), 0x0009);
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(22), (ushort)(4 + reason.Length));
        message[26] = 4;
        reason.CopyTo(message.AsSpan(28));
        return message;
    }
}
