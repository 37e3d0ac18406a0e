using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;

namespace UtpPunch.Tests;

/// <summary>
/// The logs and metrics of docs/telemetry.md are those of real runs: each run is repeated here, and its lines must be those of the page but for
/// addresses and numbers other than 0. With UPDATE_RUNS=1 a run is written to the page.
/// </summary>
public static class DocumentedRuns
{
    private const string Page = "docs/telemetry.md";
    private const string Update = "UPDATE_RUNS";
    private static readonly IPEndPoint s_loopback = new(IPAddress.Loopback, 0);

    [Fact("docs/telemetry.md shows the logs and metrics of a lossy transfer")]
    public static async Task Lossy()
    {
        const int Length = 4_000_000;
        using var run = new Run();
        await using var server = UtpNode.Bind(s_loopback);
        using var relay = UdpRelay.Symmetric(server.LocalEndPoint, new RelayPath { Loss = 0.03, Delay = TimeSpan.FromMilliseconds(5) });
        await using var listener = server.Listen();
        await using (var client = await run.BindAsync())
        {
            var stream = await client.ConnectAsync(relay.EndPoint);
            await using (var accepted = await listener.AcceptAsync())
            {
                var writing = stream.WriteAsync(new byte[Length], completeWrites: true).AsTask();
                Check.Equal(Length, await LengthAsync(accepted));
                await writing;
            }

            Check.Equal(0, await stream.ReadAsync(new byte[1]));
            await stream.DisposeAsync();
            await stream.Closed.WaitAsync(TimeSpan.FromSeconds(10));
        }

        await run.IsDocumentedAsync(
            "lossy transfer",
            "utp.connect.duration",
            "utp.connection.duration utp.role=dialer",
            "utp.io network.io.direction=transmit",
            "utp.io network.io.direction=receive",
            "utp.packets network.io.direction=transmit",
            "utp.retransmissions",
            "utp.lost");
    }

    [Fact("docs/telemetry.md shows the logs and metrics of a punch that fails")]
    public static async Task FailedPunch()
    {
        var soon = new UtpPunchOptions { Timeout = TimeSpan.FromSeconds(1), PunchTimeout = TimeSpan.FromSeconds(1) };
        using var run = new Run();
        await using (var node = await run.BindAsync())
        {
            using var offer = await node.CreateOfferAsync([], soon);
            string answer;
            await using (var peer = UtpNode.Bind(s_loopback))
            {
                using var theirs = await peer.CreateAnswerAsync(offer.Text, [], soon);
                answer = theirs.Text;
            }

            // The peer has gone: nothing answers at its addresses.
            Check.That(!(await node.PunchAsync(offer, answer)).Success, "no path");
        }

        await run.IsDocumentedAsync("failed punch", "utp.punch.duration utp.outcome=failed");
    }

    [Fact("docs/telemetry.md shows the logs and metrics of a flood: rules that are counted, and no message for a packet")]
    public static async Task Flood()
    {
        const int Sources = 64;
        using var run = new Run();
        await using (var node = await run.BindAsync(maxHalfOpen: 8))
        {
            await using var listener = node.Listen();
            for (var index = 0; index < Sources; index++)
            {
                using var source = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
                await source.SendToAsync(Packet(type: 4, (ushort)(1000 + index)), node.LocalEndPoint);      // SYN
                await source.SendToAsync(Packet(type: 0, (ushort)(40_000 + index)), node.LocalEndPoint);    // DATA of a stream that does not exist
            }

            await run.UntilAsync("utp.rules utp.rule=SynCookieSent", Sources - 8);
            await run.UntilAsync("utp.rules utp.rule=UnknownConnection", Sources);
            await run.IsDocumentedAsync("flood", "utp.rules utp.rule=SynCookieSent", "utp.rules utp.rule=UnknownConnection");
        }
    }

    private static byte[] Packet(int type, ushort id)
    {
        var packet = new byte[type == 0 ? 120 : 20];
        packet[0] = (byte)((type << 4) | 1);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(2), id);
        BinaryPrimitives.WriteUInt32BigEndian(packet.AsSpan(12), 1_048_576);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(16), 1);
        return packet;
    }

    private static async Task<int> LengthAsync(UtpStream stream)
    {
        var total = 0;
        var buffer = new byte[64 * 1024];
        while (await stream.ReadAsync(buffer) is > 0 and var count)
        {
            total += count;
        }

        return total;
    }

    /// <summary>A run: what one node logs, and by what the meter has grown.</summary>
    private sealed class Run : IDisposable
    {
        private readonly LogRecorder _log = new();
        private readonly MeterReader _meter = new();
        private readonly IReadOnlyDictionary<string, long> _before;

        public Run() => _before = _meter.Read();

        public ValueTask<UtpNode> BindAsync(int maxHalfOpen = 256) =>
            UtpNode.BindAsync(new UtpNodeOptions { LocalEndPoint = s_loopback, LoggerFactory = _log, MaxHalfOpen = maxHalfOpen, PacketSize = 1400 });

        /// <summary>Waits until a counter has grown by that much.</summary>
        public async Task UntilAsync(string counter, long by)
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
            while (Grown(counter) < by)
            {
                await Task.Delay(20, limit.Token);
            }
        }

        public async Task IsDocumentedAsync(string title, params string[] instruments)
        {
            var lines = _log.Entries.Select(entry => $"{entry.Level,-11}  {entry.Text}").Concat(instruments.Select(name => $"{name,-44}  {Shown(name)}"));
            var text = await Repository.TextAsync(Page);
            var block = Regex.Match(text, $"(?<=<!-- run: {title} -->\n```\n).*?(?=```)", RegexOptions.Singleline);
            Check.That(block.Success, $"{Page} has a block of the run '{title}'");
            var run = string.Concat(lines.Select(line => $"{line}\n"));
            if (Environment.GetEnvironmentVariable(Update) == "1")
            {
                await File.WriteAllTextAsync(Path.Combine(Repository.Root, Page), $"{text[..block.Index]}{run}{text[(block.Index + block.Length)..]}");
                return;
            }

            Check.Equal(WithoutNumbers(block.Value), WithoutNumbers(run));
        }

        public void Dispose() => _meter.Dispose();

        private string Shown(string name)
        {
            var words = name.Split(' ', 2);
            var tags = words.Length > 1 ? words[1] : "";
            var measured = _meter.Histogram(words[0]).Where(one => one.Tags == tags).Select(one => one.Value).ToArray();
            return measured.Length > 0 ? FormattableString.Invariant($"count {measured.Length}, last {measured[^1]:F3} s") : $"{Grown(name)}";
        }

        private long Grown(string name) => _meter.Read().GetValueOrDefault(name) - _before.GetValueOrDefault(name);

        private static string WithoutNumbers(string text) =>
            Regex.Replace(Regex.Replace(text, @"127\.0\.0\.1:\d+", "ADDRESS"), @"(?<![\w.])\d+(\.\d+)?", number => decimal.Parse(number.Value, null) == 0 ? "0" : "N");
    }
}
