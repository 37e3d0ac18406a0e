using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using UtpPunch.Protocol;
using UtpPunch.Tracing;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>`utp trace --pcapng`: Wireshark reads the packets of the trace.</summary>
public static class ToolTraceCapture
{
    private static readonly string? Tshark = OtherTool.Find("tshark");

    [Fact("a capture has each datagram of the trace, byte for byte, and lost ones twice")]
    public static async Task SameDatagrams()
    {
        using var files = new TraceFiles();
        var file = TraceFiles.Transfer;
        await TraceFiles.ShowAsync(file, "--pcapng", files.At("x.pcapng"));
        var blocks = Blocks(await File.ReadAllBytesAsync(files.At("x.pcapng")));
        var packets = blocks.Where(block => block.Type == 6).ToList();
        Check.Equal(0x0A0D0D0Au, blocks[0].Type);
        Check.Equal("A.tx A.rx B.tx B.rx lost", string.Join(' ', blocks.Where(block => block.Type == 1).Select(NameOf)));
        var expected = TraceFiles.Packets(file);
        var seen = packets.Where(block => BinaryPrimitives.ReadUInt32LittleEndian(block.Body) != 4).ToList();
        Check.Equal(expected.Count, seen.Count);
        Check.Equal(File.ReadLines(file).Count(line => line.Contains(" lost=", StringComparison.Ordinal)), packets.Count - seen.Count);
        foreach (var (line, block) in expected.Zip(seen))
        {
            var length = BinaryPrimitives.ReadInt32LittleEndian(block.Body.AsSpan(12));
            var datagram = new Borrowed(block.Body, 20 + 28, length - 28);
            Check.Equal(Malformed.None, PacketModule.decode(datagram, out var packet), $"{line}");
            CheckSame(line, packet);
        }
    }

    [Fact("tshark dissects every datagram as well-formed uTP with the numbers of the trace; checksums are correct", Timeout = 120)]
    public static async Task Dissected()
    {
        Skip.Unless(Tshark is not null, "needs tshark on the PATH");
        using var files = new TraceFiles();
        foreach (var trace in new[] { TraceFiles.Sample, TraceFiles.Transfer, files.WriteOneNode() })
        {
            await TraceFiles.ShowAsync(trace, "--pcapng", files.At("x.pcapng"));
            var expected = TraceFiles.Packets(trace).Select(line => string.Join(' ', new[] { "id", "seq", "ack", "ts", "td" }.Select(line.Number)));
            var rows = await DissectAsync(files.At("x.pcapng"), "not frame.interface_name == \"lost\"",
                "bt-utp.connection_id", "bt-utp.seq_nr", "bt-utp.ack_nr", "bt-utp.timestamp_us", "bt-utp.timestamp_diff_us");
            Check.Equal(string.Join('\n', expected), string.Join('\n', rows));
            Check.Equal("", string.Join('\n', await DissectAsync(files.At("x.pcapng"),
                "_ws.malformed or ip.checksum.status != \"Good\" or udp.checksum.status != \"Good\" or not bt-utp", "frame.number")));
        }
    }

    [Fact("tshark shows lost and duplicated packets and their interfaces; also over IPv6")]
    public static async Task Fates()
    {
        Skip.Unless(Tshark is not null, "needs tshark on the PATH");
        using var files = new TraceFiles();
        await TraceFiles.ShowAsync(TraceFiles.Transfer, "--pcapng", files.At("x.pcapng"));
        var lost = await DissectAsync(files.At("x.pcapng"), "frame.interface_name == \"lost\"", "frame.comment");
        Check.Equal(5, lost.Length);
        Check.That(lost.All(comment => comment.Contains("lost: random", StringComparison.Ordinal)), string.Join('\n', lost));
        const string Copies = "frame.comment contains \"copy of p\" and frame.interface_name == \"B.rx\"";
        Check.Equal(2, (await DissectAsync(files.At("x.pcapng"), Copies, "frame.number")).Length);
        var inbound = await DissectAsync(files.At("x.pcapng"), "frame.interface_name == \"A.rx\"", "frame.packet_flags");
        Check.Equal("0x00000001", string.Join(' ', inbound.Distinct()));

        var six = files.Write(
            "six.utrace",
            File.ReadLines(TraceFiles.Sample).Select(line => Regex.Replace(line, @"\b10\.0\.0\.(\d):", "[fd00::$1]:")));
        await TraceFiles.ShowAsync(six, "--pcapng", files.At("six.pcapng"));
        const string Good = "ipv6 and bt-utp and udp.checksum.status == \"Good\" and not _ws.malformed";
        var good = await DissectAsync(files.At("six.pcapng"), Good, "frame.number");
        Check.Equal(TraceFiles.Packets(six).Count + 1, good.Length);
    }

    [Fact("a capture has the bytes of a datagram that is not uTP, and zeroes for a payload that is a hash")]
    public static async Task OtherPayloads()
    {
        using var files = new TraceFiles();
        string[] lines =
        [
            "#utrace 3", "#pay hash", "#node A 10.0.0.1:5000",
            "    0.000000 A out pkt       p=0 to=10.0.0.2:6000 i=1/1 raw=48656c6c6f",
            "    0.000001 A out pkt       p=0 to=10.0.0.2:6000 i=1/1 DATA id=1 seq=2 ack=3 wnd=4 ts=5 td=6 len=3 pay=#0123456789abcdef",
            "    0.000002 A out pkt       p=0 to=10.0.0.2:6000 i=1/1 DATA id=1 seq=3 ack=3 wnd=4 ts=5 td=6 len=3 pay=313233",
        ];
        await TraceFiles.ShowAsync(files.Write("x.utrace", lines), "--pcapng", files.At("x.pcapng"));
        var payloads =
            from block in Blocks(await File.ReadAllBytesAsync(files.At("x.pcapng")))
            where block.Type == 6
            let length = BinaryPrimitives.ReadInt32LittleEndian(block.Body.AsSpan(12))
            select Convert.ToHexStringLower(block.Body.AsSpan(20 + 28, length - 28));
        const string Header = "01000001000000050000000600000004";
        Check.Equal($"48656c6c6f {Header}00020003000000 {Header}00030003313233", string.Join(' ', payloads));
    }

    private static async Task<string[]> DissectAsync(string capture, string filter, params string[] fields)
    {
        string[] arguments =
        [
            "-r", capture, "-d", "udp.port==5000,bt-utp", "-d", "udp.port==6000,bt-utp",
            "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
            "-Y", filter, "-T", "fields", "-E", "separator=/s", .. fields.SelectMany(field => new[] { "-e", field }),
        ];
        var (output, _) = await OtherTool.RunAsync(Tshark!, arguments);
        return output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    private static void CheckSame(TraceLine line, Packet packet)
    {
        var header = packet.Header;
        var wanted = string.Join(' ', new[] { "id", "seq", "ack", "wnd", "ts", "td", "len" }.Select(line.Number));
        var found = $"{header.ConnectionId} {header.SeqNr.Value} {header.AckNr.Value} {header.Window} "
            + $"{header.Timestamp} {header.TimestampDifference} {packet.Payload.Length}";
        Check.Equal(wanted, found, $"{line}");
        Check.That(line.Has(header.Type.ToString().ToUpperInvariant()), $"{header.Type} is in {line}");
        Check.Equal(line.Find("sack") ?? "", Convert.ToHexStringLower(packet.Sack.Span), $"{line}");
        if (line.Find("pay") is { } pay)
        {
            var offset = long.Parse(pay.Split(':')[1], CultureInfo.InvariantCulture);
            var key = KeyOf(pay[1..pay.IndexOf(':', StringComparison.Ordinal)]);
            var bytes = Enumerable.Range(0, packet.Payload.Length).Select(i => Keyed.byteAt(key, offset + i)).ToArray();
            Check.Equal(bytes, packet.Payload.Span, $"{line}");
        }
    }

    private static ulong KeyOf(string name)
    {
        var line = File.ReadLines(TraceFiles.Transfer).First(line => line.StartsWith($"#key {name} 0x", StringComparison.Ordinal));
        return ulong.Parse(line.AsSpan(line.IndexOf('x', StringComparison.Ordinal) + 1), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
    }

    private static List<(uint Type, byte[] Body)> Blocks(byte[] file)
    {
        var blocks = new List<(uint, byte[])>();
        for (var at = 0; at < file.Length;)
        {
            var length = BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(at + 4));
            Check.That(length % 4 == 0);
            Check.Equal(length, BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(at + length - 4)), "the length at the end of a block");
            blocks.Add((BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(at)), file[(at + 8)..(at + length - 4)]));
            at += length;
        }

        return blocks;
    }

    // The first option of an interface is its name.
    private static string NameOf((uint Type, byte[] Body) block) =>
        Encoding.UTF8.GetString(block.Body, 12, BinaryPrimitives.ReadUInt16LittleEndian(block.Body.AsSpan(10)));
}
