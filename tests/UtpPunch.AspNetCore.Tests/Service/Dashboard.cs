using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace UtpPunch.Tests;

/// <summary>The service's page and its JSON: what they show of real clients, and what they do not show.</summary>
public static class Dashboard
{
    private const string Room = "a room with a name";
    private const string Evil = "<img src=x onerror=\"document.body.remove()\"></script>";

    // UTF-8 of "UPN1", a kind that does not exist.
    private static readonly byte[] s_noMessage = [.. "UPN1"u8, 99];

    [Fact("the JSON has rooms, registrations, introductions, outcomes and floods, and neither names nor addresses", Parallel = true)]
    public static async Task Counts()
    {
        await using var watched = await Watched.StartAsync();
        using var waiting = UtpNode.Bind(WebPair.Loopback);
        using var end = new CancellationTokenSource();
        var meeting = new UtpRendezvousClient(waiting, watched.Server).ConnectAsync($"{Room} alone", null, end.Token).AsTask();
        await MeetAsync(watched.Server, reports: true);
        await FloodAsync(watched.Server);
        var state = await watched.UntilAsync(
            state => Number(state["load"]!["waiting"]) == 1 && Reports(state) == 2 && Number(state["totals"]!["invalid"]) == 100, "a peer waits, two reported");
        Check.Equal(1, Number(state["load"]!["rooms"]));
        Check.Equal(1, Number(state["totals"]!["introduced"]));
        Check.Equal(3, Number(state["totals"]!["registered"]));
        Check.That(Number(state["totals"]!["challenged"]) >= 3, "cookies");
        var pair = state["outcomes"]!["pairs"]!.AsArray().Single()!;
        Check.Equal("endpoint-independent endpoint-independent 2", $"{pair["one"]} {pair["other"]} {pair["met"]}");
        Check.That(Number(pair["median"]) > 0 && Number(pair["most"]) >= Number(pair["median"]), $"{pair}");
        Check.Equal(2, Number(state["outcomes"]!["paths"]!.AsArray().Single()!["met"]));
        state = await watched.UntilAsync(state => Sum(state, "introduced") == 1 && Sum(state, "invalid") == 100, "the last minute has both");
        Check.Equal(1, Number(state["lastMinute"]!["waiting"]!.AsArray()[^1]));

        // Nothing that is served names a room or an address.
        var served = new StringBuilder();
        foreach (var path in new[] { "/", "/dashboard", "/dashboard.json", "/metrics", "/healthz", "/readyz" })
        {
            using var answer = await watched.Http.GetAsync(path);
            served.Append(answer.Headers).Append(answer.Content.Headers).Append(await answer.Content.ReadAsStringAsync());
        }

        var tag = RendezvousTag.Of($"{Room} alone");
        foreach (var secret in new[] { Room, tag, tag[..8], "127.0.0.1", $"{waiting.LocalEndPoint.Port}", $"{watched.Server.Port}" })
        {
            Check.That(!served.ToString().Contains(secret, StringComparison.OrdinalIgnoreCase), $"'{secret}' is served");
        }

        await end.CancelAsync();
        await meeting.ContinueWith(_ => { }, TaskScheduler.Default);
    }

    [Fact("with ShowNames the JSON has tags, the names that the settings have, and addresses", Parallel = true)]
    public static async Task Names()
    {
        await using var watched = await Watched.StartAsync("--ShowNames", "true", "--RoomNames:0", Room);
        await using var nodes = await Waiters.StartAsync(watched.Server, Room, Room + " without a name");
        var state = await watched.UntilAsync(state => state["named"]!["rooms"]!.AsArray().Count == 2, "two rooms");
        Check.That(state["named"]!["listening"]!.AsArray().Select(one => $"{one}").Contains($"{watched.Server}"), "where it listens");
        foreach (var (room, node, name) in new[] { (Room, nodes.All[0], Room), (Room + " without a name", nodes.All[1], "") })
        {
            var shown = state["named"]!["rooms"]!.AsArray().Single(one => $"{one!["tag"]}" == RendezvousTag.Of(room))!;
            Check.Equal($"{name} 1 0 {node.LocalEndPoint}", $"{shown["name"]} {shown["visitors"]} {shown["staying"]} {shown["members"]!.AsArray().Single()}");
        }
    }

    [Fact("the page's numbers change while real clients meet, no script fails, and it asks its own address only", Parallel = true, Timeout = 120)]
    public static async Task Live()
    {
        Skip.Unless(Browser.Program is not null, "needs chromium on the PATH");
        await using var watched = await Watched.StartAsync();
        await using var browser = await Browser.StartAsync(1280, 1000);
        await browser.OpenAsync(watched.Http.BaseAddress!);
        await browser.UntilAsync("document.documentElement.dataset.ready");
        Check.Equal("0 0 0", await NumbersAsync(browser));
        Check.Equal("ready", await browser.EvaluateAsync<string>("document.getElementById('state').textContent"));
        Check.That(await browser.EvaluateAsync<bool>("document.getElementById('named').hidden && document.getElementById('redis').hidden"), "sections");
        await using (await Waiters.StartAsync(watched.Server, Room + " of one"))
        {
            await browser.UntilAsync("document.getElementById('n-waiting').textContent === '1'");
            Check.Equal("1 1 0", await NumbersAsync(browser));
            await MeetAsync(watched.Server, reports: true);
            await MeetAsync(watched.Server, reports: false);
            await FloodAsync(watched.Server);
            await browser.UntilAsync("document.getElementById('n-introduced').textContent === '2'");
            await browser.UntilAsync("document.querySelector('#pairs tbody').textContent.includes('endpoint-independent — endpoint-independent2 100 %')");
            await browser.UntilAsync("Number(document.getElementById('n-dropped-rate').textContent) > 0");
            Check.That(await browser.EvaluateAsync<bool>("[...document.querySelectorAll('#times tbody tr')].length >= 1"), "times");
            Check.That(!(await browser.EvaluateAsync<string>("document.documentElement.outerHTML")).Contains(Room, StringComparison.Ordinal), "no name");
        }

        await browser.UntilAsync("document.getElementById('n-waiting').textContent === '0'");
        await CheckChartsAsync(browser);
        await KeepPictureAsync(browser, "light");

        // On a phone nothing is wider than the page.
        await browser.ResizeAsync(360, 740);
        await browser.UntilAsync("document.documentElement.scrollWidth <= 360");
        await KeepPictureAsync(browser, "phone");
        Check.Equal("", string.Join('\n', browser.Errors));
        Check.Equal("", await browser.EvaluateAsync<string>("document.documentElement.dataset.errors ?? ''"));
        Check.That(browser.Requests.Count > 2 && browser.Requests.All(IsOwn), string.Join(' ', browser.Requests));
        watched.Terminate();
        await browser.UntilAsync("/^(no answer for|not ready)/.test(document.getElementById('state').textContent)");

        bool IsOwn(string request) =>
            request.StartsWith(watched.Http.BaseAddress!.AbsoluteUri, StringComparison.Ordinal) || request == "data:,";
    }

    [Fact("names of rooms are text on the page, whatever they say, also on a dark page", Parallel = true, Timeout = 120)]
    public static async Task NamesAreText()
    {
        Skip.Unless(Browser.Program is not null, "needs chromium on the PATH");
        await using var watched = await Watched.StartAsync("--ShowNames", "true", "--RoomNames:0", Evil);
        await using var waiters = await Waiters.StartAsync(watched.Server, Evil);
        await using var browser = await Browser.StartAsync(1280, 1000, isDark: true);
        await browser.OpenAsync(new Uri(watched.Http.BaseAddress!, "dashboard"));
        await browser.UntilAsync("document.querySelector('#rooms tbody th')");
        Check.Equal(Evil, await browser.EvaluateAsync<string>("document.querySelector('#rooms tbody th').textContent"));
        Check.Equal(0, await browser.EvaluateAsync<int>("document.images.length"));
        Check.Equal($"{waiters.All[0].LocalEndPoint}", await browser.EvaluateAsync<string>("document.querySelector('#rooms td.members').textContent"));
        Check.Equal("rgb(17, 21, 27)", await browser.EvaluateAsync<string>("getComputedStyle(document.documentElement).backgroundColor"));
        await KeepPictureAsync(browser, "dark");
        Check.Equal("", string.Join('\n', browser.Errors));

        // The policy lets no other script run.
        await browser.EvaluateAsync<bool>("document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.evil = 1' })), true");
        Check.That(await browser.EvaluateAsync<bool>("window.evil === undefined"), "a script that was added has run");
    }

    private static long Number(JsonNode? node) => node!.GetValue<long>();

    private static long Sum(JsonNode state, string series) => state["lastMinute"]![series]!.AsArray().Sum(Number);

    private static long Reports(JsonNode state) => state["outcomes"]!["pairs"]!.AsArray().Sum(pair => Number(pair!["met"]));

    private static Task<string> NumbersAsync(Browser browser) =>
        browser.EvaluateAsync<string>("['n-rooms', 'n-waiting', 'n-introduced'].map(id => document.getElementById(id).textContent).join(' ')");

    // Behind each picture there is a table, and each has words for those who do not see it.
    private static async Task CheckChartsAsync(Browser browser)
    {
        Check.Equal(4, await browser.EvaluateAsync<int>("[...document.querySelectorAll('#charts svg[role=img]')].filter(it => it.getAttribute('aria-label').includes(', now: ')).length"));
        await browser.EvaluateAsync<bool>("document.querySelectorAll('details').forEach(it => it.open = true), true");
        await browser.UntilAsync("document.querySelectorAll('#charts tbody tr').length > 4");
        Check.That(await browser.EvaluateAsync<bool>("[...document.querySelectorAll('#charts tbody tr')].some(row => row.cells[1].textContent === '1')"), "the peer that waited");
        await browser.EvaluateAsync<bool>("document.querySelectorAll('details').forEach(it => it.open = false), true");
        await browser.EvaluateAsync<bool>("document.querySelector('input[value=lastHour]').click(), true");
        await browser.UntilAsync("document.querySelector('#charts svg[role=img]').textContent.includes('60 min ago')");
        await browser.EvaluateAsync<bool>("document.querySelector('input[value=lastMinute]').click(), true");
        Check.That(await browser.EvaluateAsync<bool>("document.querySelectorAll('#charts path.line[d^=M]').length >= 15"), "lines");
    }

    // UTP_PICTURES names a folder for those who want to look at the page.
    private static async Task KeepPictureAsync(Browser browser, string name)
    {
        if (Environment.GetEnvironmentVariable("UTP_PICTURES") is { Length: > 0 } folder)
        {
            await File.WriteAllBytesAsync(Path.Combine(folder, $"dashboard-{name}.png"), await browser.CaptureAsync());
        }
    }

    private static async Task MeetAsync(IPEndPoint server, bool reports)
    {
        using var one = UtpNode.Bind(WebPair.Loopback);
        using var other = UtpNode.Bind(WebPair.Loopback);
        var options = new UtpPunchOptions { ReportOutcome = reports };
        var streams = await Task.WhenAll(new[] { one, other }.Select(node =>
            new UtpRendezvousClient(node, server).ConnectAsync(Room, options).AsTask().WaitAsync(WebPair.Limit)));
        foreach (var stream in streams)
        {
            stream.Abort();
        }
    }

    private static async Task FloodAsync(IPEndPoint server)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        for (var index = 0; index < 100; index++)
        {
            await socket.SendToAsync(s_noMessage, server);
        }
    }

    /// <summary>Nodes that wait, one in each room.</summary>
    private sealed class Waiters : IAsyncDisposable
    {
        private readonly CancellationTokenSource _end = new();
        private readonly List<Task> _meetings = [];

        public List<UtpNode> All { get; } = [];

        public static async Task<Waiters> StartAsync(IPEndPoint server, params string[] rooms)
        {
            var waiters = new Waiters();
            foreach (var room in rooms)
            {
                var node = UtpNode.Bind(WebPair.Loopback);
                waiters.All.Add(node);
                waiters._meetings.Add(new UtpRendezvousClient(node, server).ConnectAsync(room, null, waiters._end.Token).AsTask());
            }

            await Task.Yield();
            return waiters;
        }

        public async ValueTask DisposeAsync()
        {
            await _end.CancelAsync();
            await Task.WhenAll(_meetings).ContinueWith(_ => { }, TaskScheduler.Default);
            All.ForEach(node => node.Dispose());
            _end.Dispose();
        }
    }

    /// <summary>A service and what asks its dashboard.</summary>
    private sealed class Watched : IAsyncDisposable
    {
        private readonly ProgramRun _service;

        private Watched(ProgramRun service, IPEndPoint admin)
        {
            _service = service;
            Http = new HttpClient { BaseAddress = new Uri($"http://{admin}"), Timeout = WebPair.Limit };
        }

        public HttpClient Http { get; }

        public IPEndPoint Server { get; private set; } = null!;

        public static async Task<Watched> StartAsync(params string[] arguments)
        {
            var admin = RendezvousService.FreePort();
            var watched = new Watched(RendezvousService.Start(null, ["--Admin", $"{admin}", .. RendezvousService.Ports, .. arguments]), admin);
            watched.Server = RendezvousService.Listening(await watched._service.LineAsync("Listening on"));
            await Waiting.UntilAsync(() => RendezvousService.IsOpen(admin), "the address of the dashboard is open");
            return watched;
        }

        public async Task<JsonNode> UntilAsync(Func<JsonNode, bool> condition, string claim)
        {
            var limit = Task.Delay(WebPair.Limit);
            while (true)
            {
                var state = JsonNode.Parse(await Http.GetStringAsync("/dashboard.json"))!;
                if (condition(state))
                {
                    return state;
                }

                Check.That(!limit.IsCompleted, $"{claim} in {state}");
                await Task.Delay(20);
            }
        }

        public void Terminate() => _service.Terminate();

        public ValueTask DisposeAsync()
        {
            Http.Dispose();
            _service.Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
