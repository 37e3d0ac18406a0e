using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;

namespace UtpPunch.NatLab.Tools;

/// <summary>
/// The reference puncher as a program with utp's commands, to test running processes in the labs with a known tool:
/// `natlab --utp UtpPunch.NatLab.dll`. It accepts utp's options and ignores those that do not apply.
/// </summary>
internal static class Commands
{
    /// <summary>`rendezvous --bind IP:PORT … --json`: introduces at the first address until SIGTERM.</summary>
    public static async Task<int> RendezvousAsync(string[] words, CancellationToken cancellationToken)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(IPEndPoint.Parse(Value(words, "--bind")));
        using var introducer = new Introducer(socket);
        Say(new { @event = "listening", local = $"{socket.LocalEndPoint}" });
        await Task.Delay(Timeout.Infinite, cancellationToken);
        return 0;
    }

    /// <summary>`punch --rendezvous IP:PORT --room NAME --secret S --connect-timeout SECONDS --json`.</summary>
    public static int Punch(string[] words)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(IPAddress.Any, 0));
        var timeout = TimeSpan.FromSeconds(int.Parse(Value(words, "--connect-timeout"), CultureInfo.InvariantCulture));
        var rendezvous = IPEndPoint.Parse(Value(words, "--rendezvous"));
        var name = $"{Environment.ProcessId}";
        var puncher = new ReflexivePuncher(socket, rendezvous, Value(words, "--room"), name) { WaitForPeer = timeout };
        var outcome = puncher.Run();
        Say(new { @event = "punched", success = outcome.Succeeded, stage = outcome.Words, elapsedMs = outcome.Elapsed.TotalMilliseconds });
        return outcome.Verdict switch { Verdict.Connected => 0, Verdict.Failed => 4, _ => 3 };
    }

    private static void Say<T>(T line) => Console.WriteLine(JsonSerializer.Serialize(line));

    private static string Value(string[] words, string option) =>
        Array.IndexOf(words, option) is >= 0 and var place && place + 1 < words.Length
            ? words[place + 1]
            : throw new UsageException($"{option} and its value are missing");
}
