using System.Text.RegularExpressions;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>`utp trace` as text, and its messages about files that it cannot read.</summary>
public static class ToolTrace
{
    private const int Failure = 1;
    private const int Usage = 2;

    [Fact("a trace as text is a ladder of a hundred columns, equal to the recorded one")]
    public static async Task Text()
    {
        var text = await TraceFiles.ShowAsync(TraceFiles.Sample);
        Check.Equal(await File.ReadAllTextAsync(TraceFiles.PathOf("sample.txt")), text);
        Check.That(text.Split('\n').All(line => line.Length <= 100), "a hundred columns");
        Check.Equal(text, await TraceFiles.ShowAsync(TraceFiles.Sample, "--text"));
    }

    [Fact("the trace of a single node shows sent and received packets, one line each")]
    public static async Task OneNode()
    {
        using var files = new TraceFiles();
        var file = files.WriteOneNode();
        var text = await TraceFiles.ShowAsync(file);
        Check.That(text.Contains("16 packets sent, 1 of them again; 0 lost, 0 copied; 0 violations\n", StringComparison.Ordinal), text);
        var received = TraceFiles.Packets(file).Count(line => line.Direction == "in");
        Check.Equal(received, text.Split('\n').Count(line => line.Contains("|<", StringComparison.Ordinal)));
    }

    [Fact("a violation, and an unknown kind of commentary, are shown as they are")]
    public static async Task Violation()
    {
        using var files = new TraceFiles();
        var file = files.WriteWith("    0.200000 B chk violation S1 B%20delivered a wrong byte at 1380");
        var text = await TraceFiles.ShowAsync(file);
        Check.That(text.Contains("!! 0.200000 violation at B: S1 B delivered a wrong byte at 1380\n", StringComparison.Ordinal), text);
        Check.That(text.EndsWith("; 1 violations\n", StringComparison.Ordinal), text);
        file = files.WriteWith("    0.200000 . net eclipse  of=the-moon");
        Check.That((await TraceFiles.ShowAsync(file)).Contains("* eclipse of=the-moon", StringComparison.Ordinal));
    }

    [Fact("a trace with a congestion control of the application's own is shown, and its replay ends with code 1 and the reason")]
    public static async Task OwnCongestionControl()
    {
        using var files = new TraceFiles();
        var recorded = files.At("recorded.utrace");
        var scenario = Path.Combine(TraceFiles.Sample, "../../../corpus/silent-dialler.scenario");
        using var sim = ToolProcess.Start($"sim --scenario {scenario} --trace {recorded}");
        await sim.SucceedAsync();
        var lines = File.ReadAllLines(recorded).Where(line => !line.StartsWith("#end", StringComparison.Ordinal)).ToArray();
        var usual = files.Write("usual.utrace", lines);
        var file = files.Write("own.utrace", lines.Select(line => Regex.Replace(line, @"\.congestion=\w+", ".congestion=foreign")));
        Check.Equal(await TraceFiles.ShowAsync(usual), await TraceFiles.ShowAsync(file));
        foreach (var mode in new[] { "strict", "inputs-only" })
        {
            using var tool = ToolProcess.Start($"replay {file} --mode {mode}");
            var errorLine = await tool.FailAsync(Failure);
            Check.That(errorLine.StartsWith("utp: own.utrace: Line ", StringComparison.Ordinal), errorLine);
            Check.That(errorLine.EndsWith("The congestion control is the application's own, and not in the trace", StringComparison.Ordinal), errorLine);
        }
    }

    [Fact("a file that is not a trace ends with code 1 and one line that names the line and the reason")]
    public static async Task BadFiles()
    {
        using var files = new TraceFiles();
        await FailAsync(files.At("none.utrace"), "there is no such file");
        await FailAsync(files.Write("empty.utrace", []), "line 1: The text is not a trace");
        await FailAsync(files.Write("other.utrace", ["hello"]), "line 1: The text is not a trace");
        await FailAsync(files.Write("later.utrace", ["#utrace 2"]), "line 1: Version 2 of the format is unknown");
        string[] head = ["#utrace 3", "#key k0 0x1f", "#node A 10.0.0.1:5000"];
        await BadAsync("soon A in step now=0", "The time is not in seconds");
        await BadAsync("    0.000000 A up  step", "The direction is not");
        await BadAsync("    0.000000 C in  step", "There is no #node C");
        await BadAsync(Packet("SYM seq=1", "len=0"), "'SYM' is not a packet type");
        await BadAsync(Packet("SYN seq=65536", "len=0"), "seq=: '65536' is not a number from 0 to 65535");
        await BadAsync(Packet("SYN seq=many", "len=0"), "seq=: 'many' is not a whole number");
        await BadAsync(Packet("SYN", "len=0"), "There is no seq=");
        await BadAsync(Packet("DATA seq=1", "len=2 pay=00"), "'00' is not a payload of as many bytes as len= says");
        await BadAsync(Packet("DATA seq=1", "len=2 pay=~k1:0:2"), "'k1' is not a stream that a #key line names");
        await BadAsync(Packet("DATA seq=1", "len=2 pay=~k0:0"), "'~k0:0' is not a place in a stream: ~key:offset:length");
        await BadAsync(Packet("STATE seq=1", "len=0 sack=0102"), "'0102' is not a selective acknowledgement of 4 to 252 bytes");
        await BadAsync("    0.000000 A in  pkt       p=0 i=1/1 raw=00", "There is no recv line before this pkt line");

        static string Packet(string type, string rest) =>
            $"    0.000000 A out pkt       p=1 to=10.0.0.2:6000 i=1/1 {type} id=1 ack=0 wnd=0 ts=0 td=0 {rest}";

        Task BadAsync(string line, string what) => FailAsync(files.Write("bad.utrace", [.. head, line]), $"line 4: {what}");
    }

    [Fact("a file that cannot be written ends with code 1, a bad argument with code 2")]
    public static async Task BadWords()
    {
        using var files = new TraceFiles();
        using var folder = ToolProcess.Start($"trace {TraceFiles.Sample} --html {Path.GetTempPath()}");
        Check.That((await folder.FailAsync(Failure)).Contains("cannot be written", StringComparison.Ordinal));
        using var nothing = ToolProcess.Start("trace");
        await nothing.FailAsync(Usage);
        using var unknown = ToolProcess.Start($"trace {TraceFiles.Sample} --pdf x");
        await unknown.FailAsync(Usage);
    }

    private static async Task FailAsync(string file, string what)
    {
        using var tool = ToolProcess.Start($"trace {file}");
        var errorLine = await tool.FailAsync(Failure);
        Check.That(errorLine.Contains(file, StringComparison.Ordinal), errorLine);
        Check.That(errorLine.Contains(what, StringComparison.OrdinalIgnoreCase), $"'{what}' is in '{errorLine}'");
    }
}
