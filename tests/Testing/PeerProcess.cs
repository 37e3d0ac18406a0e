using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Text.Json;

namespace UtpPunch.Tests;

/// <summary>
/// One end of a connection, in a program of its own: a script of tests/peers. It reports events as lines of JSON;
/// <see cref="WaitAsync"/> waits for one by name, which may have happened already. The process ends with this object, and by itself if
/// the test's process ends.
/// </summary>
public class PeerProcess : IDisposable
{
    /// <summary>Where the scripts are, and the npm packages in node_modules.</summary>
    public static readonly string Folder = Path.Combine(RepositoryRoot(), "tests", "peers");

    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(30);

    private readonly ConcurrentDictionary<string, TaskCompletionSource<JsonElement>> _events = new();
    private readonly ConcurrentQueue<string> _lines = new();
    private readonly Process _process;
    private readonly Task _reading;
    private readonly string _what;

    /// <summary>Starts a script of <see cref="Folder"/>.</summary>
    protected PeerProcess(string interpreter, string script, params string[] arguments)
        : this([interpreter], script, arguments)
    {
    }

    /// <summary>Starts a script of <see cref="Folder"/> by a command.</summary>
    protected PeerProcess(string[] command, string script, params string[] arguments)
    {
        _what = $"{script} {string.Join(' ', arguments)}";
        var start = new ProcessStartInfo(command[0], [.. command[1..], Path.Combine(Folder, script), .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        _process = Process.Start(start) ?? throw new InvalidOperationException($"{command[0]} did not start");
        _process.ErrorDataReceived += (_, e) => Log(e.Data);
        _process.BeginErrorReadLine();
        _reading = ReadEventsAsync();
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

    /// <summary>Kills the peer, and waits for its end.</summary>
    public void Dispose()
    {
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Writes a line to the peer's input.</summary>
    protected void Command(string line)
    {
        _process.StandardInput.WriteLine(line);
        _process.StandardInput.Flush();
    }

    /// <summary>Waits for the event that has the peer's port; a peer that does not report it ends.</summary>
    protected async Task LearnPortAsync(string name)
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
            if (line.StartsWith('{'))                       // the libraries print lines of their own
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
