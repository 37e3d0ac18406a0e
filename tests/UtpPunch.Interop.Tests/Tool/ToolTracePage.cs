using System.Text.RegularExpressions;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>`utp trace --html`, as a headless browser shows it.</summary>
public static class ToolTracePage
{
    private static readonly string? Browser = OtherTool.Find("chromium", "chromium-browser", "google-chrome");

    [Fact("the page shows every loss of a trace, every packet and its counts, and no script fails", Timeout = 120)]
    public static async Task Losses()
    {
        await CheckAsync(TraceFiles.Sample, packets: 30, lost: ["6"], again: 1);
        await CheckAsync(TraceFiles.Transfer, packets: 163, lost: ["6", "10", "44", "55", "145"], again: 4);

        static async Task CheckAsync(string trace, int packets, string[] lost, int again)
        {
            var page = await OpenAsync(trace);
            var crosses = Regex.Matches(page, "class=\"mark cross\" data-p=\"(\\d+)\"").Select(match => match.Groups[1].Value);
            Check.Equal(string.Join(' ', lost), string.Join(' ', crosses.OrderBy(int.Parse)));
            Check.Equal(packets, Regex.Count(page, "<g class=\"packet [a-z ]+\""));
            Check.Equal(again, Regex.Count(page, "<g class=\"packet again( lost)?\""));
            Check.That(page.Contains($"<b>{packets}</b> packets sent", StringComparison.Ordinal), "the count of packets");
            Check.That(page.Contains($"<b>{lost.Length}</b> lost", StringComparison.Ordinal), "the count of losses");
            foreach (var series in "again sent lost ack sack window cwnd flight delay target rtt".Split(' '))
            {
                Check.That(Regex.IsMatch(page, $"class=\"series key-{series}\" d=\"M"), $"{series} is drawn");
            }
        }
    }

    [Fact("the page of a single node's trace has a lane for its peer, and no script fails")]
    public static async Task OneNode()
    {
        using var files = new TraceFiles();
        var page = await OpenAsync(files.WriteOneNode());
        Check.Equal(30, Regex.Count(page, "<g class=\"packet [a-z ]+\""));
        Check.That(page.Contains("<b>peer</b> 10.0.0.2:6000", StringComparison.Ordinal), "the peer");
    }

    [Fact("a violation is on top with its reason, and no text of the file becomes part of the page", Timeout = 120)]
    public static async Task Violation()
    {
        using var files = new TraceFiles();
        const string Evil = "</script><img/src=x/onerror=\"document.body.remove()\"><!--<script>";
        var page = await OpenAsync(files.WriteWith($"    0.200000 B chk violation S1 {Evil} at 1380"));
        Check.That(page.Contains("<b>1</b> violation<", StringComparison.Ordinal), "the count");
        var shown = Evil.Replace("<", "&lt;", StringComparison.Ordinal).Replace(">", "&gt;", StringComparison.Ordinal);
        Check.That(Regex.IsMatch(page, $"<div id=\"violations\">.*S1 {Regex.Escape(shown)} at 1380"), "the reason, as text");
        Check.That(!page.Contains("<img", StringComparison.Ordinal), "no element of the file");
    }

    [Fact("a page without a packet, and one with a hundred thousand lines, open without a failure", Timeout = 180)]
    public static async Task NoneAndMany()
    {
        using var files = new TraceFiles();
        await OpenAsync(files.Write("none.utrace", ["#utrace 3", "#node A 10.0.0.1:5000"]));
        var head = File.ReadLines(TraceFiles.Transfer).Where(line => line[0] == '#');
        var body = File.ReadLines(TraceFiles.Transfer).Where(line => line[0] != '#').ToList();
        var later = Enumerable.Range(0, 80).SelectMany(second => body.Select(line => $"{second,5}{line[5..]}"));
        var page = await OpenAsync(files.Write("many.utrace", [.. head, .. later]));
        Check.That(Regex.Count(page, "<g class=\"packet ") is > 20 and < 5000, "only what can be seen is drawn");
    }

    [Fact("a script that fails is detected")]
    public static async Task SeesErrors()
    {
        Skip.Unless(Browser is not null, "needs chromium on the PATH");
        using var files = new TraceFiles();
        await TraceFiles.ShowAsync(TraceFiles.Sample, "--html", files.At("x.html"));
        var html = await File.ReadAllTextAsync(files.At("x.html"));
        await File.WriteAllTextAsync(files.At("x.html"), html.Replace("startLadder();", "startLadders();", StringComparison.Ordinal));
        Check.That((await DumpAsync(files.At("x.html"))).Contains("data-errors=\"Uncaught ReferenceError", StringComparison.Ordinal));
    }

    /// <summary>The page of a trace after its scripts have run without an error, without the data.</summary>
    private static async Task<string> OpenAsync(string trace)
    {
        Skip.Unless(Browser is not null, "needs chromium on the PATH");
        using var files = new TraceFiles();
        await TraceFiles.ShowAsync(trace, "--html", files.At("x.html"));
        var html = await File.ReadAllTextAsync(files.At("x.html"));
        Check.That(!Regex.IsMatch(html, @"(src|href)\s*=\s*[""']?(https?:)?//|@import|url\((?!#)"), "nothing is loaded from elsewhere");
        var page = await DumpAsync(files.At("x.html"));
        Check.That(!page.Contains("data-errors", StringComparison.Ordinal), Regex.Match(page, "data-errors=\"[^\"]*\"").Value);
        Check.That(page.Contains("data-ready=\"1\"", StringComparison.Ordinal), "the page was loaded completely");
        return Regex.Replace(page, "<script.*?</script>", "", RegexOptions.Singleline);
    }

    private static async Task<string> DumpAsync(string file)
    {
        using var files = new TraceFiles();
        var (page, log) = await OtherTool.RunAsync(
            Browser!, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            $"--user-data-dir={files.At("profile")}",
            "--enable-logging=stderr", "--window-size=1400,900", "--virtual-time-budget=5000", "--dump-dom", new Uri(file).AbsoluteUri);
        if (!page.Contains("data-errors", StringComparison.Ordinal))
        {
            Check.That(!Regex.IsMatch(log, ":CONSOLE"), log);
        }

        return page;
    }
}
