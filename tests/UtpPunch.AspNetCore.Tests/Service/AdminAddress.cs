using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;

namespace UtpPunch.Tests;

/// <summary>Who gets an answer at the service's address of health, metrics and the dashboard.</summary>
public static class AdminAddress
{
    private const string Token = "correct-horse/battery+staple==";

    private static readonly string[] s_needToken = ["/", "/dashboard", "/dashboard.json", "/metrics", "/nothing"];

    private static readonly string[] s_health = ["/healthz", "/readyz"];

    [Fact("a request that names another host is refused at every path, as after DNS rebinding; loopback and the hosts of the settings are answered", Parallel = true)]
    public static async Task Hosts()
    {
        await using var admin = await Admin.StartAsync(IPAddress.Loopback, "--AdminHosts:0", "rendezvous.example", "--AdminHosts:1", "*.inner.example");
        string[] known = ["localhost", "LocalHost:1", "127.0.0.1", "127.0.0.1:80", "[::1]:9100", "rendezvous.example:9100", "RENDEZVOUS.example", "a.b.inner.example"];
        foreach (var host in known)
        {
            Check.Equal(HttpStatusCode.OK, (await admin.AskAsync("/metrics", host)).Status, host);
        }

        string[] others =
        [
            "evil.example", "evil.example:9100", "localhost.evil.example", "127.0.0.1.evil.example", "a.rendezvous.example", "inner.example", "192.0.2.7", "[::2]",
        ];
        foreach (var host in others)
        {
            foreach (var path in s_needToken.Concat(s_health))
            {
                var (status, text, _) = await admin.AskAsync(path, host);
                Check.Equal(HttpStatusCode.BadRequest, status, $"{host} {path}");
                Check.That(text.Contains("AdminHosts", StringComparison.Ordinal) && !text.Contains("evil", StringComparison.Ordinal), text);
            }
        }

        // Load balancers ask like this; no browser does.
        Check.That((await admin.SendAsync("GET /healthz HTTP/1.0\r\n\r\n")).StartsWith("HTTP/1.1 200 ", StringComparison.Ordinal));
        Check.That(!admin.Service.Transcript.Contains("AdminToken", StringComparison.Ordinal), "no warning at loopback");
    }

    [Fact("behind a socket of all addresses any address may be named, but no other name; without a token that is a warning in the log", Parallel = true)]
    public static async Task Wildcard()
    {
        await using var admin = await Admin.StartAsync(IPAddress.Any);
        await admin.Service.LineAsync("there is no AdminToken");
        foreach (var host in new[] { "192.0.2.7:9100", "[2001:db8::7]", "localhost" })
        {
            Check.Equal(HttpStatusCode.OK, (await admin.AskAsync("/metrics", host)).Status, host);
        }

        Check.Equal(HttpStatusCode.BadRequest, (await admin.AskAsync("/metrics", "192.0.2.7.evil.example")).Status);
    }

    [Fact("with AdminToken all but the health needs it, as a bearer token or as a password", Parallel = true)]
    public static async Task Tokens()
    {
        var environment = new Dictionary<string, string?>(StringComparer.Ordinal) { ["UTP_RENDEZVOUS_ADMINTOKEN"] = Token };
        await using var admin = await Admin.StartAsync(IPAddress.Loopback, environment);
        foreach (var path in s_health)
        {
            Check.Equal("ok\n", (await admin.AskAsync(path)).Text);
        }

        string?[] wrong =
        [
            null, "Bearer", $"Bearer {Token[..^1]}", $"Bearer {Token}x", $"Bearer {Token.ToUpperInvariant()}", $"Bearer {Token}, Bearer {Token}", Token, $"Digest {Token}",
            $"Basic {Token}", "Basic !", Basic(Token), Basic($"{Token}:"), Basic($"operator:{Token[1..]}"), Basic($"operator:x:{Token}"), $"Basic {new string('A', 9000)}",
        ];
        foreach (var path in s_needToken)
        {
            foreach (var authorization in wrong)
            {
                var (status, _, headers) = await admin.AskAsync(path, null, authorization);
                Check.Equal(HttpStatusCode.Unauthorized, status, $"{path} {authorization}");
                Check.Equal("Basic Bearer", string.Join(' ', headers.WwwAuthenticate.Select(challenge => challenge.Scheme)));
            }

            foreach (var authorization in new[] { $"Bearer {Token}", $"bearer {Token}", Basic($"operator:{Token}"), Basic($":{Token}") })
            {
                var expected = path == "/nothing" ? HttpStatusCode.NotFound : HttpStatusCode.OK;
                Check.Equal(expected, (await admin.AskAsync(path, null, authorization)).Status, $"{path} {authorization}");
            }
        }

        var twice = $"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {Token}\r\nAuthorization: Bearer {Token}\r\nConnection: close\r\n\r\n";
        Check.That((await admin.SendAsync(twice)).StartsWith("HTTP/1.1 401 ", StringComparison.Ordinal), "two headers");
        Check.Equal(HttpStatusCode.BadRequest, (await admin.AskAsync("/metrics", "evil.example", $"Bearer {Token}")).Status);
        Check.That(!admin.Service.Transcript.Contains(Token, StringComparison.Ordinal), "the token is logged");
    }

    [Fact("a browser asks its user for the token once, and the page goes on with it", Parallel = true, Timeout = 120)]
    public static async Task Prompt()
    {
        Skip.Unless(Browser.Program is not null, "needs chromium on the PATH");
        await using var admin = await Admin.StartAsync(IPAddress.Loopback, "--AdminToken", Token);
        await using var browser = await Browser.StartAsync(1280, 1000);
        await browser.AnswerPromptsAsync(Token);
        await browser.OpenAsync(new Uri($"http://{admin.EndPoint}/dashboard"));
        await browser.UntilAsync("document.getElementById('state').textContent === 'ready'");
        Check.Equal(1, browser.Prompts);

        // The password may also stand in the address.
        await browser.OpenAsync(new Uri($"http://operator:{Uri.EscapeDataString(Token)}@{admin.EndPoint}/"));
        await browser.UntilAsync("document.getElementById('state').textContent === 'ready'");
        Check.Equal(1, browser.Prompts);
    }

    [Fact("a token or a host that is not valid ends the service with a line that does not repeat the token", Parallel = true)]
    public static async Task Invalid()
    {
        foreach (var (arguments, told) in new (string[], string)[]
        {
            (["--AdminToken", "fifteen-letters"], "AdminToken: its value is not valid: It must have 16 to 256 characters"),
            (["--AdminToken", "sixteen letters:"], "AdminToken: its value is not valid"),
            (["--AdminToken", new string('x', 257)], "AdminToken: its value is not valid"),
            (["--AdminHosts:0", "http://rendezvous.example"], "AdminHosts: "),
            (["--AdminHosts:0", "rendezvous.example:9100"], "rendezvous.example:9100 is no host"),
            (["--AdminHosts:0", "0.0.0.0"], "0.0.0.0 is no host"),
            (["--AdminHosts:0", "::"], ":: is no host"),
        })
        {
            using var service = RendezvousService.Start(null, arguments);
            await service.EndAsync();
            Check.That(service.Errors.Split('\n') is [var line] && line.Contains(told, StringComparison.Ordinal), service.Transcript);
            Check.That(arguments[0] != "--AdminToken" || !service.Transcript.Contains(arguments[1], StringComparison.Ordinal), "the token is shown");
            Check.Equal(2, service.ExitCode);
        }
    }

    private static string Basic(string credentials) => $"Basic {Convert.ToBase64String(Encoding.UTF8.GetBytes(credentials))}";

    /// <summary>A service, and what asks its address.</summary>
    private sealed class Admin : IAsyncDisposable
    {
        private readonly HttpClient _http;

        private Admin(ProgramRun service, IPEndPoint endPoint)
        {
            Service = service;
            EndPoint = endPoint;
            _http = new HttpClient { BaseAddress = new Uri($"http://{endPoint}"), Timeout = WebPair.Limit };
        }

        public ProgramRun Service { get; }

        public IPEndPoint EndPoint { get; }

        public static Task<Admin> StartAsync(IPAddress address, params string[] arguments) => StartAsync(address, null, arguments);

        public static async Task<Admin> StartAsync(IPAddress address, Dictionary<string, string?>? environment, params string[] arguments)
        {
            var endPoint = RendezvousService.FreePort();
            string[] all = ["--Admin", $"{address}:{endPoint.Port}", .. RendezvousService.Ports, .. arguments];
            var admin = new Admin(RendezvousService.Start(environment, all), endPoint);
            await admin.Service.LineAsync("Listening on");
            await Waiting.UntilAsync(() => RendezvousService.IsOpen(endPoint), "the address is open");
            return admin;
        }

        public async Task<(HttpStatusCode Status, string Text, HttpResponseHeaders Headers)> AskAsync(string path, string? host = null, string? authorization = null)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, path);
            request.Headers.Host = host;
            if (authorization is not null)
            {
                request.Headers.TryAddWithoutValidation("Authorization", authorization);
            }

            using var response = await _http.SendAsync(request);
            return (response.StatusCode, await response.Content.ReadAsStringAsync(), response.Headers);
        }

        /// <summary>What is answered until the service closes the connection.</summary>
        public async Task<string> SendAsync(string request)
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            using var limit = new CancellationTokenSource(WebPair.Limit);
            await socket.ConnectAsync(EndPoint, limit.Token);
            await socket.SendAsync(Encoding.ASCII.GetBytes(request), limit.Token);
            using var reader = new StreamReader(new NetworkStream(socket));
            return await reader.ReadToEndAsync(limit.Token);
        }

        public ValueTask DisposeAsync()
        {
            _http.Dispose();
            Service.Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
