using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Text.Json;

namespace UtpPunch.Tests;

/// <summary>
/// One end of a connection, in an npm library in a process of its own: tests/peers/peer.js, which lists its behaviours. It reports events as
/// lines of JSON; <see cref="WaitAsync"/> waits for one by name, which may have happened already. The process ends with this object, and
/// by itself if the test's process ends.
/// </summary>
public sealed class NpmPeer : IDisposable
{
    public const string Native = "utp-native";
    public const string Punch = "utp-punch";

    /// <summary>Where the packages are, in node_modules.</summary>
    public static readonly string Folder = Path.Combine(RepositoryRoot(), "tests", "peers");

    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(30);

    private readonly ConcurrentDictionary<string, TaskCompletionSource<JsonElement>> _events = new();
    private readonly ConcurrentQueue<string> _lines = new();
    private readonly Process _process;
    private readonly Task _reading;
    private readonly string _what;

    private NpmPeer(string library, string[] arguments)
    {
        _what = $"{library} {string.Join(' ', arguments)}";
        var start = new ProcessStartInfo("node", [Path.Combine(Folder, "peer.js"), library, .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        _process = Process.Start(start) ?? throw new InvalidOperationException("node did not start");
        _process.ErrorDataReceived += (_, e) => Log(e.Data);
        _process.BeginErrorReadLine();
        _reading = ReadEventsAsync();
    }

    /// <summary>Whether Node and the two packages are installed.</summary>
    public static bool IsAvailable { get; } = HasNode() && Directory.Exists(Path.Combine(Folder, "node_modules"));

    /// <summary>Why a test without them is skipped.</summary>
    public const string Missing = "needs Node on the PATH and `npm ci` in tests/peers";

    /// <summary>Starts a peer that listens, and applies the behaviour to each connection.</summary>
    public static async Task<NpmPeer> ServeAsync(string library, params object[] behaviour)
    {
        var peer = new NpmPeer(library, ["serve", .. Words(behaviour)]);
        await peer.LearnPortAsync("listening");
        return peer;
    }

    /// <summary>Starts a peer that connects to a port of this machine and then follows the behaviour.</summary>
    public static async Task<NpmPeer> DialAsync(string library, IPEndPoint target, params object[] behaviour)
    {
        var peer = new NpmPeer(library, ["dial", $"{target.Port}", .. Words(behaviour)]);
        await peer.LearnPortAsync("bound");
        return peer;
    }

    /// <summary>Starts a peer that has a port and does not listen.</summary>
    public static async Task<NpmPeer> BindAsync(string library)
    {
        var peer = new NpmPeer(library, ["bind"]);
        await peer.LearnPortAsync("bound");
        return peer;
    }

    /// <summary>The peer's address.</summary>
    public IPEndPoint EndPoint { get; private set; } = new(IPAddress.Loopback, 0);

    /// <summary>The peer's output so far, for the message of a failure.</summary>
    public string Transcript => $"{_what}\n{string.Join('\n', _lines)}";

    /// <summary>Waits for the first event of this name.</summary>
    /// <exception cref="TimeoutException">It did not happen in time, or the peer has ended; the message has the events that did.</exception>
    public async Task<PeerEvent> WaitAsync(string name, TimeSpan? timeout = null)
    {
        var happened = Event(name).Task;
        await Task.WhenAny(happened, _reading, Task.Delay(timeout ?? Timeout));
        if (happened.IsCompletedSuccessfully)
        {
            return new PeerEvent(happened.Result);
        }

        var when = _reading.IsCompleted ? "before it was gone" : $"within {timeout ?? Timeout}";
        throw new TimeoutException($"no event '{name}' {when} from {Transcript}");
    }

    /// <summary>Whether an event of this name has happened.</summary>
    public bool Has(string name) => Event(name).Task.IsCompletedSuccessfully;

    /// <summary>Asks the peer to end its stream.</summary>
    public void End() => Command("end");

    /// <summary>Asks the peer to destroy its stream.</summary>
    public void Destroy() => Command("destroy");

    /// <summary>Kills the peer, and waits for its end.</summary>
    public void Dispose()
    {
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }

    private void Command(string line)
    {
        _process.StandardInput.WriteLine(line);
        _process.StandardInput.Flush();
    }

    private async Task LearnPortAsync(string name)
    {
        try
        {
            EndPoint = new IPEndPoint(IPAddress.Loopback, (await WaitAsync(name)).Port);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    private async Task ReadEventsAsync()
    {
        while (await _process.StandardOutput.ReadLineAsync() is { } line)
        {
            Log(line);
            if (line.StartsWith('{'))                       // libutp prints lines of its own
            {
                using var json = JsonDocument.Parse(line);
                Event(json.RootElement.GetProperty("event").GetString()!).TrySetResult(json.RootElement.Clone());
            }
        }
    }

    private void Log(string? line)
    {
        if (line is not null)
        {
            _lines.Enqueue(line);
        }
    }

    private TaskCompletionSource<JsonElement> Event(string name) =>
        _events.GetOrAdd(name, _ => new TaskCompletionSource<JsonElement>(TaskCreationOptions.RunContinuationsAsynchronously));

    private static string[] Words(object[] arguments) => [.. arguments.Select(argument => $"{argument}")];

    private static bool HasNode() =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
            .Any(folder => File.Exists(Path.Combine(folder, OperatingSystem.IsWindows() ? "node.exe" : "node")));

    private static string RepositoryRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "UtpPunch.sln")))
            {
                return folder.FullName;
            }
        }

        throw new DirectoryNotFoundException($"UtpPunch.sln is in no folder above {AppContext.BaseDirectory}");
    }
}

/// <summary>An event of a peer.</summary>
public readonly record struct PeerEvent(JsonElement Json)
{
    public int Port => Json.GetProperty("port").GetInt32();
    public long Bytes => Json.GetProperty("bytes").GetInt64();
    public string Sha256 => Json.GetProperty("sha256").GetString()!;
    public string? Text => Json.GetProperty("text").GetString();
    public string Message => Json.GetProperty("message").GetString()!;
}
