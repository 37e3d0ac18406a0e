using System.Net;
using System.Net.Sockets;
using System.Text;

namespace UtpPunch.Tests;

/// <summary>A redis-server of Debian as a process, which keeps nothing on disk.</summary>
/// <param name="within">A program that executes it, such as `ip netns exec NAME`; none by default.</param>
public sealed class RedisServer(params string[] within) : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(40);

    private readonly string _folder = Directory.CreateTempSubdirectory("utp-redis").FullName;
    private ProgramRun? _process;

    public IPEndPoint EndPoint { get; } = FreePort();

    public async Task StartAsync()
    {
        string[] command =
            [.. within, "redis-server", "--bind", "127.0.0.1", "--port", $"{EndPoint.Port}", "--save", "", "--appendonly", "no", "--dir", _folder];
        _process = ProgramRun.Start(_folder, command[0], command[1..]);
        await _process.LineAsync("Ready to accept connections");
    }

    /// <summary>Ends it as a machine that loses its power does: everything is forgotten.</summary>
    public void Kill()
    {
        _process?.Dispose();
        _process = null;
    }

    /// <summary>Sends a command and returns the lines of the answer.</summary>
    public async Task<string[]> AskAsync(params string[] words)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(EndPoint);
        var command = new StringBuilder($"*{words.Length}\r\n");
        foreach (var word in words)
        {
            command.Append($"${word.Length}\r\n{word}\r\n");
        }

        // A further command marks the end of the first one's answer.
        command.Append("*2\r\n$4\r\nECHO\r\n$7\r\nthe end\r\n");
        var stream = client.GetStream();
        await stream.WriteAsync(Encoding.Latin1.GetBytes(command.ToString()));
        using var reader = new StreamReader(stream, Encoding.Latin1);
        var lines = new List<string>();
        while (await reader.ReadLineAsync().WaitAsync(Limit) is { } line && line != "the end")
        {
            lines.Add(line);
        }

        return [.. lines];
    }

    public void Dispose()
    {
        Kill();
        Directory.Delete(_folder, recursive: true);
    }

    private static IPEndPoint FreePort()
    {
        using var probe = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        probe.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return (IPEndPoint)probe.LocalEndPoint!;
    }
}
