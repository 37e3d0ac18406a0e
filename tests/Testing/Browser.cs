using System.Collections.Concurrent;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace UtpPunch.Tests;

/// <summary>
/// A page in a headless Chromium, driven by the DevTools protocol, which needs no package (Playwright's has 786 MB). It knows what the page has requested, and
/// which scripts have failed. The browser ends with this object.
/// </summary>
public sealed class Browser : IAsyncDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly string _profile;
    private readonly ProgramRun _process;
    private readonly ClientWebSocket _socket = new();
    private readonly CancellationTokenSource _stopping = new();
    private readonly ConcurrentDictionary<int, TaskCompletionSource<JsonNode>> _calls = new();
    private readonly ConcurrentQueue<string> _errors = new();
    private readonly ConcurrentQueue<string> _requests = new();
    private readonly SemaphoreSlim _sending = new(1);
    private Task _reading = Task.CompletedTask;
    private volatile TaskCompletionSource _loaded = new();
    private string? _password;
    private volatile int _prompts;
    private int _last;

    private Browser(string program)
    {
        _profile = Directory.CreateTempSubdirectory("utp-browser").FullName;
        _process = ProgramRun.Start(
            _profile,
            program,
            [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--remote-debugging-port=0", $"--user-data-dir={_profile}", "about:blank",
            ]);
    }

    /// <summary>Where Chromium is; null without one on the PATH.</summary>
    public static string? Program { get; } =
        (from folder in (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
         from name in new[] { "chromium", "chromium-browser", "google-chrome" }
         let path = Path.Combine(folder, name)
         where File.Exists(path)
         select path).FirstOrDefault();

    /// <summary>What has failed in the page: exceptions, and what the browser itself says, such as violations of the page's policy.</summary>
    public IReadOnlyCollection<string> Errors => _errors;

    /// <summary>The addresses that the page has requested.</summary>
    public IReadOnlyCollection<string> Requests => _requests;

    /// <summary>How often the browser has asked its user for a name and a password.</summary>
    public int Prompts => _prompts;

    /// <summary>Starts a browser with an empty page of that size.</summary>
    public static async Task<Browser> StartAsync(int width, int height, bool isDark = false)
    {
        var browser = new Browser(Program ?? throw new InvalidOperationException("There is no Chromium on the PATH."));
        try
        {
            using var limit = new CancellationTokenSource(Limit);
            await browser.ConnectAsync(limit.Token);
            foreach (var domain in new[] { "Runtime", "Log", "Network", "Page" })
            {
                await browser.CallAsync($"{domain}.enable");
            }

            await browser.ResizeAsync(width, height);
            await browser.CallAsync("Emulation.setEmulatedMedia", new JsonObject
            {
                ["features"] = new JsonArray(new JsonObject { ["name"] = "prefers-color-scheme", ["value"] = isDark ? "dark" : "light" }),
            });
            return browser;
        }
        catch
        {
            await browser.DisposeAsync();
            throw;
        }
    }

    /// <summary>Opens an address, and waits until its page is loaded.</summary>
    public async Task OpenAsync(Uri address)
    {
        var loaded = _loaded = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await CallAsync("Page.navigate", new JsonObject { ["url"] = address.AbsoluteUri });
        await loaded.Task.WaitAsync(Limit);
    }

    /// <summary>Answers the browser's prompts for a password, as a user does.</summary>
    public Task AnswerPromptsAsync(string password)
    {
        _password = password;
        return CallAsync("Fetch.enable", new JsonObject { ["handleAuthRequests"] = true });
    }

    /// <summary>Changes the size of the page.</summary>
    public Task ResizeAsync(int width, int height) => CallAsync("Emulation.setDeviceMetricsOverride", new JsonObject
    {
        ["width"] = width,
        ["height"] = height,
        ["deviceScaleFactor"] = 1,
        ["mobile"] = width < 600,
    });

    /// <summary>The value of an expression in the page.</summary>
    public async Task<T> EvaluateAsync<T>(string expression)
    {
        var answer = await CallAsync("Runtime.evaluate", new JsonObject { ["expression"] = expression, ["returnByValue"] = true });
        return answer["exceptionDetails"] is { } failure
            ? throw new InvalidOperationException($"{expression}: {failure.ToJsonString()}")
            : answer["result"]!["value"]!.GetValue<T>();
    }

    /// <summary>Waits until an expression is true in the page.</summary>
    public async Task UntilAsync(string expression)
    {
        var limit = Task.Delay(Limit);
        while (!await EvaluateAsync<bool>($"Boolean({expression})"))
        {
            Check.That(!limit.IsCompleted, $"{expression} in the page; errors: {string.Join("; ", Errors)}");
            await Task.Delay(20);
        }
    }

    /// <summary>A picture of the whole page, as PNG.</summary>
    public async Task<byte[]> CaptureAsync()
    {
        var answer = await CallAsync("Page.captureScreenshot", new JsonObject { ["captureBeyondViewport"] = true });
        return Convert.FromBase64String(answer["data"]!.GetValue<string>());
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        _socket.Abort();
        await _reading.ContinueWith(_ => { }, TaskScheduler.Default);
        _process.Dispose();
        _socket.Dispose();
        _stopping.Dispose();
        _sending.Dispose();
        await DeleteProfileAsync();
    }

    // Its other processes may write for a moment after the first one has ended.
    private async Task DeleteProfileAsync()
    {
        for (var left = 50; Directory.Exists(_profile); left--)
        {
            try
            {
                Directory.Delete(_profile, recursive: true);
            }
            catch (IOException) when (left > 0)
            {
                await Task.Delay(100);
            }
        }
    }

    private async Task ConnectAsync(CancellationToken cancellationToken)
    {
        var file = Path.Combine(_profile, "DevToolsActivePort");
        string[] lines;
        while (!File.Exists(file) || (lines = await File.ReadAllLinesAsync(file, cancellationToken)).Length < 2)
        {
            await Task.Delay(20, cancellationToken);
        }

        using var http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{lines[0]}") };
        var pages = JsonNode.Parse(await http.GetStringAsync("/json", cancellationToken))!.AsArray();
        var page = pages.First(target => target!["type"]!.GetValue<string>() == "page")!;
        await _socket.ConnectAsync(new Uri(page["webSocketDebuggerUrl"]!.GetValue<string>()), cancellationToken);
        _reading = ReadAsync();
    }

    private async Task<JsonNode> CallAsync(string method, JsonObject? parameters = null)
    {
        var id = Interlocked.Increment(ref _last);
        var answer = _calls[id] = new TaskCompletionSource<JsonNode>(TaskCreationOptions.RunContinuationsAsynchronously);
        var call = new JsonObject { ["id"] = id, ["method"] = method, ["params"] = parameters ?? [] };
        await _sending.WaitAsync(Limit);
        try
        {
            await _socket.SendAsync(Encoding.UTF8.GetBytes(call.ToJsonString()), WebSocketMessageType.Text, endOfMessage: true, _stopping.Token);
        }
        finally
        {
            _sending.Release();
        }

        return await answer.Task.WaitAsync(Limit);
    }

    private async Task ReadAsync()
    {
        var buffer = new byte[1 << 16];
        using var message = new MemoryStream();
        while (!_stopping.IsCancellationRequested)
        {
            message.SetLength(0);
            ValueWebSocketReceiveResult part;
            do
            {
                part = await _socket.ReceiveAsync(buffer.AsMemory(), _stopping.Token);
                message.Write(buffer, 0, part.Count);
            }
            while (!part.EndOfMessage);
            Take(JsonNode.Parse(message.ToArray())!);
        }
    }

    private void Take(JsonNode message)
    {
        if (message["id"] is { } id)
        {
            if (_calls.TryRemove(id.GetValue<int>(), out var call))
            {
                if (message["error"] is { } error)
                {
                    call.SetException(new InvalidOperationException(error.ToJsonString()));
                }
                else
                {
                    call.SetResult(message["result"]!);
                }
            }

            return;
        }

        var parameters = message["params"]!;
        switch (message["method"]!.GetValue<string>())
        {
            case "Runtime.exceptionThrown":
                _errors.Enqueue(parameters["exceptionDetails"]!.ToJsonString());
                break;
            case "Log.entryAdded" when parameters["entry"]!["level"]!.GetValue<string>() is "error" or "warning":
                _errors.Enqueue(parameters["entry"]!.ToJsonString());
                break;
            case "Page.loadEventFired":
                _loaded.TrySetResult();
                break;
            case "Fetch.requestPaused":
                _ = CallAsync("Fetch.continueRequest", new JsonObject { ["requestId"] = parameters["requestId"]!.DeepClone() });
                break;
            case "Fetch.authRequired":
                Interlocked.Increment(ref _prompts);
                _ = CallAsync("Fetch.continueWithAuth", new JsonObject
                {
                    ["requestId"] = parameters["requestId"]!.DeepClone(),
                    ["authChallengeResponse"] = new JsonObject { ["response"] = "ProvideCredentials", ["username"] = "operator", ["password"] = _password },
                });
                break;
            case "Network.requestWillBeSent":
                _requests.Enqueue(parameters["request"]!["url"]!.GetValue<string>());
                break;
        }
    }
}
