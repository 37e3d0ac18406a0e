using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace UtpPunch.Tests;

/// <summary>The rendezvous as a service, as a process: settings, logs, metrics, health, its end.</summary>
public static class RendezvousService
{
    // Its kind in docs/punching.md.
    private const byte Acknowledge = 2;

    internal static readonly string[] Ports = ["--Listen:0", "127.0.0.1:0", "--Listen:1", "127.0.0.1:0"];

    [Fact("the service introduces peers, logs JSON, and answers for health and metrics", Parallel = true)]
    public static async Task Serves()
    {
        var admin = FreePort();
        using var service = Start(null, ["--Admin", $"{admin}", .. Ports]);
        var server = Listening(await service.LineAsync("Listening on"));
        using var http = new HttpClient { BaseAddress = new Uri($"http://{admin}") };
        await Waiting.UntilAsync(() => IsOpen(admin), "the address of health is open");
        Check.Equal("ok\n", await http.GetStringAsync("/healthz"));
        Check.Equal("ok\n", await http.GetStringAsync("/readyz"));
        await using var node = UtpNode.Bind(WebPair.Loopback);
        await using var other = UtpNode.Bind(WebPair.Loopback);
        var streams = await Task.WhenAll(new[] { node, other }.Select(peer =>
            new UtpRendezvousClient(peer, server).ConnectAsync("dunes").AsTask().WaitAsync(WebPair.Limit)));
        using var response = await http.GetAsync("/metrics");
        Check.Equal("text/plain", response.Content.Headers.ContentType!.MediaType);
        var metrics = await response.Content.ReadAsStringAsync();
        foreach (var line in new[]
        {
            "# HELP utp_rendezvous_introductions_total Pairs that were introduced",
            "# TYPE utp_rendezvous_introductions_total counter",
            "utp_rendezvous_introductions_total 1",
            "utp_rendezvous_registered_total 2",
            "utp_rendezvous_refused_total{reason=\"room\"} 0",
            "utp_rendezvous_reports_total{outcome=\"met\"} 0",
            "# TYPE utp_rendezvous_registrations gauge",
            "utp_rendezvous_registrations 0",
            "utp_rendezvous_ready 1",
            "utp_rendezvous_unsent_total 0",
        })
        {
            Check.That(metrics.Split('\n').Contains(line, StringComparer.Ordinal), $"'{line}' in\n{metrics}");
        }

        Check.That(!metrics.Contains("dunes", StringComparison.Ordinal) && !service.Transcript.Contains("dunes", StringComparison.Ordinal));
        foreach (var stream in streams)
        {
            stream.Abort();
        }

        service.Terminate();
        var log = (await service.EndAsync()).Split('\n').Select(line => JsonDocument.Parse(line).RootElement).ToArray();
        Check.Equal(0, service.ExitCode);
        Check.Equal("", service.Errors);
        var first = log.Single(entry => entry.GetProperty("EventId").GetInt32() == 1);
        var listening = first.GetProperty("State").GetProperty("EndPoints").GetString()!.Split(", ").Select(IPEndPoint.Parse).ToArray();
        Check.Equal(2, listening.Length);
        Check.That(listening.Contains(server) && listening.All(one => one.Port > 0), $"{first}");
        var last = log.Single(entry => entry.GetProperty("EventId").GetInt32() == 3);
        Check.Equal(1L, last.GetProperty("State").GetProperty("Introduced").GetInt64());
    }

    [Fact("settings come from a file; the environment goes before it, and the command line before both", Parallel = true)]
    public static async Task Settings()
    {
        var file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(file, """{ "Listen": ["127.0.0.1:0"], "Admin": "nowhere", "Drain": "nothing", "Stun": "true" }""");
            var admin = FreePort();
            var environment = new Dictionary<string, string?>(StringComparer.Ordinal)
            {
                ["UTP_RENDEZVOUS_ADMIN"] = $"{admin}",
                ["UTP_RENDEZVOUS_DRAIN"] = "nothing either",
            };
            using var service = Start(environment, ["--config", file, "--Drain", "00:00:01"]);
            var server = Listening(await service.LineAsync("Listening on"));
            await using var node = UtpNode.Bind(WebPair.Loopback);
            Check.Equal(node.LocalEndPoint, (await node.DiscoverNatAsync([server])).MappedEndPoint);
            service.Terminate();
            await service.EndAsync();
            Check.Equal(0, service.ExitCode);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact("a setting that is not valid, and a port in use, end the service with a line that names them", Parallel = true)]
    public static async Task Invalid()
    {
        using var occupant = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        occupant.Bind(WebPair.Loopback);
        foreach (var (arguments, told, code) in new (string[], string, int)[]
        {
            (["--Lissten:0", "127.0.0.1:0"], "Lissten: there is no such setting", 2),
            (["--Admin", "here"], "Admin: \"here\" is not valid", 2),
            (["--Drain", "1.00:00:00"], "from 00:00:00 to 00:10:00", 2),
            (["--MaxRegistrations", "0"], "MaxRegistrations: \"0\" is not valid", 2),
            (["--config", "absent.json"], "absent.json", 1),
            (["--Listen:0", $"{occupant.LocalEndPoint}", "--Admin", "127.0.0.1:0"], $"{occupant.LocalEndPoint}", 1),
        })
        {
            using var service = Start(null, arguments);
            await service.EndAsync();
            Check.That(service.Errors.Split('\n') is [var line] && line.Contains(told, StringComparison.Ordinal), service.Transcript);
            Check.Equal(code, service.ExitCode);
        }
    }

    [Fact("a service that stops is not ready, and waits until its introductions are over, for a bounded time", Parallel = true)]
    public static async Task StopsSlowly()
    {
        var admin = FreePort();
        using var service = Start(null, ["--Admin", $"{admin}", "--Drain", "00:00:02", .. Ports]);
        var server = Listening(await service.LineAsync("Listening on"));
        await Waiting.UntilAsync(() => IsOpen(admin), "the address of health is open");
        // The introduction goes on, since the server does not get one peer's acknowledgements.
        await using var near = UtpNode.Bind(WebPair.Loopback);
        using var relay = new UdpRelay(
            server, drop: (direction, _, datagram) => direction == RelayDirection.ToTarget && datagram.Length > 4 && datagram.Span[4] == Acknowledge);
        var meeting = new UtpRendezvousClient(near, relay.EndPoint).ConnectAsync("room").AsTask();
        using var http = new HttpClient { BaseAddress = new Uri($"http://{admin}"), Timeout = WebPair.Limit };
        await MetricAsync(http, "utp_rendezvous_registrations 1");
        await using var far = UtpNode.Bind(WebPair.Loopback);
        var other = new UtpRendezvousClient(far, server).ConnectAsync("room").AsTask();
        await MetricAsync(http, "utp_rendezvous_introductions_active 1");
        service.Terminate();
        await service.LineAsync("Stopping:");
        using var response = await http.GetAsync("/readyz");
        Check.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        Check.Equal("ok\n", await http.GetStringAsync("/healthz"));
        await service.EndAsync();
        Check.Equal(0, service.ExitCode);
        near.Dispose();
        far.Dispose();
        await Task.WhenAll(meeting, other).ContinueWith(_ => { }, TaskScheduler.Default);
    }

    [Fact("docs/rendezvous.md has the service's settings and its unit of systemd, letter by letter", Parallel = true)]
    public static async Task Quoted()
    {
        await Repository.IsQuotedAsync("src/UtpPunch.Rendezvous/rendezvous.json", "docs/rendezvous.md");
        await Repository.IsQuotedAsync("src/UtpPunch.Rendezvous/utp-rendezvous.service", "docs/rendezvous.md");
    }

    internal static ProgramRun Start(Dictionary<string, string?>? environment, string[] arguments) => ProgramRun.Start(
        Repository.Root,
        "dotnet",
        ["exec", Repository.OutputOf("src/UtpPunch.Rendezvous", "utp-rendezvous"), .. arguments],
        environment);

    internal static IPEndPoint Listening(string line) => IPEndPoint.Parse(Regex.Match(line, @"127\.0\.0\.1:\d+").Value);

    // Another process may take it before the service does: then the service ends with an error.
    internal static IPEndPoint FreePort()
    {
        using var probe = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        probe.Bind(WebPair.Loopback);
        return (IPEndPoint)probe.LocalEndPoint!;
    }

    internal static bool IsOpen(IPEndPoint address)
    {
        using var probe = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            probe.Connect(address);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static async Task MetricAsync(HttpClient http, string line)
    {
        var limit = Task.Delay(WebPair.Limit);
        while (!(await http.GetStringAsync("/metrics")).Contains(line + "\n", StringComparison.Ordinal))
        {
            Check.That(!limit.IsCompleted, $"'{line}' in the metrics");
            await Task.Delay(5);
        }
    }
}
