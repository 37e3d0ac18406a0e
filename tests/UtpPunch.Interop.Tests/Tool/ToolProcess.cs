using System.Diagnostics;
using System.Net;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>
/// The tool `utp`, as it was built with these tests, in a process of its own. Its standard output and standard error are collected from
/// the start; every wait ends in bounded time, and the process ends with this object.
/// </summary>
internal sealed class ToolProcess : IDisposable
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(30);

    // The configuration of the user who runs the tests is not theirs.
    private static readonly string NoConfiguration = Path.Combine(Path.GetTempPath(), "utp-tests-have-no-configuration");

    private readonly string _what;
    private readonly Process _process;
    private readonly MemoryStream _output = new();
    private readonly Task _gathering;
    private readonly Task _reading;
    private readonly List<string> _errorLines = [];
    private readonly TaskCompletionSource<IPEndPoint> _listening = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private ToolProcess(string[] words, bool gather, bool withInput = true, string[]? within = null, string? configuration = null)
    {
        _what = $"utp {string.Join(' ', words)}";
        Check.That(File.Exists(Assembly), $"{Assembly} is there (build the solution first)");

        // A shell that starts the tests in the background ignores Ctrl-C, and so would everything below it.
        string[] command = OperatingSystem.IsLinux() ? ["env", "--default-signal=INT", "dotnet"] : ["dotnet"];
        command = withInput ? command : ["sh", "-c", "exec \"$@\" <&-", "sh", .. command];
        command = [.. within ?? [], .. command];
        _process = Process.Start(new ProcessStartInfo(command[0], [.. command[1..], "exec", Assembly, .. words])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment = { ["XDG_CONFIG_HOME"] = configuration ?? NoConfiguration },
        })!;
        _gathering = gather ? GatherAsync(_process.StandardOutput.BaseStream) : Task.CompletedTask;
        _reading = ReadErrorsAsync();
    }

    /// <summary>Starts the tool with arguments separated by spaces.</summary>
    public static ToolProcess Start(string words, bool gather = true, bool withInput = true) =>
        new(words.Split(' ', StringSplitOptions.RemoveEmptyEntries), gather, withInput);

    /// <summary>Starts the tool with these arguments, whatever is in them.</summary>
    public static ToolProcess StartWords(params string[] words) => new(words, gather: true);

    /// <summary>Starts the tool with the configuration that is in this folder.</summary>
    public static ToolProcess StartConfigured(string folder, string words) =>
        new(words.Split(' ', StringSplitOptions.RemoveEmptyEntries), gather: true, configuration: folder);

    /// <summary>Starts the tool through another program, such as `env`, which executes it.</summary>
    public static ToolProcess StartWithin(string[] within, string words) =>
        new(words.Split(' ', StringSplitOptions.RemoveEmptyEntries), gather: true, within: within);

    /// <summary>Starts `utp rendezvous --json` on two ports of loopback, and waits until it reports its address.</summary>
    public static async Task<ToolProcess> IntroduceAsync(string more = "")
    {
        var tool = Start($"rendezvous --bind 127.0.0.1:0 --bind 127.0.0.1:0 --json {more}");
        try
        {
            return await tool.ListensAsync() ? tool : throw new InvalidOperationException($"{tool} ended early.");
        }
        catch
        {
            tool.Dispose();
            throw;
        }
    }

    /// <summary>Waits until a `utp rendezvous --json` reports its address; false when it has ended instead.</summary>
    public async Task<bool> ListensAsync()
    {
        var listening = EventAsync("listening");
        if (await Task.WhenAny(listening, _process.WaitForExitAsync()) != listening)
        {
            return false;
        }

        EndPoint = IPEndPoint.Parse((await listening).GetProperty("endpoints")[0].GetString()!);
        return true;
    }

    /// <summary>Starts `utp cat --listen` on loopback, and waits until it reports its address.</summary>
    public static async Task<ToolProcess> ListenAsync(string more = "", bool gather = true)
    {
        var tool = Start($"cat --listen --bind 127.0.0.1:0 {more}", gather);
        try
        {
            await tool.WhereAsync();
            return tool;
        }
        catch (TimeoutException)
        {
            tool.Dispose();
            throw;
        }
    }

    /// <summary>Waits until a `--listen` reports its address on standard error.</summary>
    public async Task<IPEndPoint> WhereAsync()
    {
        try
        {
            return EndPoint = await _listening.Task.WaitAsync(Timeout);
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"{this} does not say where it listens.");
        }
    }

    /// <summary>Starts `utp cat 127.0.0.1 PORT`.</summary>
    public static ToolProcess Dial(IPEndPoint target, string more = "", bool withInput = true) =>
        Start($"cat {target.Address} {target.Port} {more}", withInput: withInput);

    public static string Assembly { get; } = FindAssembly();

    /// <summary>The address on which it listens.</summary>
    public IPEndPoint EndPoint { get; private set; } = new(IPAddress.Loopback, 0);

    public int Id => _process.Id;

    public Stream Input => _process.StandardInput.BaseStream;

    /// <summary>All of standard error so far, without the address of a listener.</summary>
    public string ErrorOutput
    {
        get
        {
            lock (_errorLines)
            {
                return string.Join('\n', _errorLines);
            }
        }
    }

    /// <summary>Closes our end of its standard output, as a reader does that stops early.</summary>
    public void CloseOutput() => _process.StandardOutput.Close();

    /// <summary>Writes to standard input, and closes it by default.</summary>
    public async Task SayAsync(ReadOnlyMemory<byte> bytes, bool end = true)
    {
        await Input.WriteAsync(bytes);
        await Input.FlushAsync();
        if (end)
        {
            EndInput();
        }
    }

    public void EndInput() => _process.StandardInput.Close();

    /// <summary>The exit code.</summary>
    public async Task<int> ExitAsync(TimeSpan? timeout = null)
    {
        try
        {
            await _process.WaitForExitAsync().WaitAsync(timeout ?? Timeout);
            await _reading.WaitAsync(Timeout);
            return _process.ExitCode;
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"{this} does not end within {timeout ?? Timeout}.");
        }
    }

    /// <summary>Waits for the end, which must be a success with nothing on standard error.</summary>
    public async Task SucceedAsync(TimeSpan? timeout = null)
    {
        var code = await ExitAsync(timeout);
        Check.Equal("", ErrorOutput, $"standard error of {_what}");
        Check.Equal(0, code, $"the exit code of {_what}");
    }

    /// <summary>Waits for the end, which must be a failure with a code and one line on standard error; the line.</summary>
    public async Task<string> FailAsync(int code, TimeSpan? timeout = null)
    {
        var actual = await ExitAsync(timeout);
        Check.Equal(code, actual, $"the exit code of {this}");
        var isOneLine = ErrorOutput.StartsWith("utp: ", StringComparison.Ordinal) && !ErrorOutput.Contains('\n');
        Check.That(isOneLine, $"one line, beginning with 'utp: ', not <{ErrorOutput}>");
        return ErrorOutput;
    }

    /// <summary>All of standard output, once it has ended.</summary>
    public async Task<byte[]> OutputAsync(TimeSpan? timeout = null)
    {
        await _gathering.WaitAsync(timeout ?? Timeout);
        return Output;
    }

    /// <summary>All of standard output, once it has ended, as text.</summary>
    public async Task<string> TextAsync() => Encoding.UTF8.GetString(await OutputAsync());

    /// <summary>Standard output so far.</summary>
    public async Task<Digest> DigestAsync(TimeSpan? timeout = null) => DigestOf(await OutputAsync(timeout));

    /// <summary>Standard output once it has that length; it need not have ended.</summary>
    public async Task<Digest> DigestAsync(int length) => DigestOf(await OutputAsync(length));

    /// <summary>The same as text.</summary>
    public async Task<string> TextAsync(int length) => Encoding.UTF8.GetString(await OutputAsync(length));

    /// <summary>The first line of standard output.</summary>
    public async Task<string> LineAsync()
    {
        await UntilAsync(() => Output.Contains((byte)'\n'));
        return Encoding.UTF8.GetString(Output).Split('\n')[0];
    }

    /// <summary>Waits until standard error is not empty.</summary>
    public Task ErrorOutputAsync() => UntilAsync(() => ErrorOutput.Length > 0);

    /// <summary>Waits for the line of JSON on standard output with this event.</summary>
    public async Task<JsonElement> EventAsync(string name)
    {
        JsonElement? found = null;
        await UntilAsync(() => (found = Events.Cast<JsonElement?>().FirstOrDefault(it => NameOf(it!.Value) == name)) is not null);
        return found!.Value;
    }

    /// <summary>The events on standard output, in order.</summary>
    public string[] EventNames => [.. Events.Select(NameOf)];

    private static string NameOf(JsonElement happened) => happened.GetProperty("event").GetString()!;

    // The last line may be incomplete.
    private IEnumerable<JsonElement> Events =>
        Encoding.UTF8.GetString(Output).Split('\n')[..^1].Select(line => JsonDocument.Parse(line).RootElement);

    private async Task<byte[]> OutputAsync(int length)
    {
        await UntilAsync(() => Output.Length >= length);
        return Output;
    }

    private async Task UntilAsync(Func<bool> condition)
    {
        var started = Stopwatch.GetTimestamp();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(started) > Timeout)
            {
                throw new TimeoutException($"{this} has written {Output.Length} bytes, and does not go on within {Timeout}.");
            }

            await Task.Delay(20);
        }
    }

    private byte[] Output
    {
        get
        {
            lock (_output)
            {
                return _output.ToArray();
            }
        }
    }

    private static Digest DigestOf(byte[] bytes) => new(bytes.Length, Convert.ToHexStringLower(SHA256.HashData(bytes)));

    /// <summary>Sends SIGINT, as Ctrl-C does.</summary>
    public void Interrupt() => Check.Equal(0, SendSignal(_process.Id, 2));

    /// <summary>Stops its threads, as a machine does that sleeps, and lets them go on.</summary>
    public void Sleep() => Check.Equal(0, SendSignal(_process.Id, 19));

    public void Wake() => Check.Equal(0, SendSignal(_process.Id, 18));

    /// <summary>Sends SIGTERM, as `kill` does.</summary>
    public void Terminate() => Check.Equal(0, SendSignal(_process.Id, 15));

    /// <summary>Kills the process.</summary>
    public void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            Kill();
        }

        _process.Dispose();
    }

    public override string ToString() => $"{_what} <{ErrorOutput}>";

    private async Task GatherAsync(Stream stream)
    {
        var buffer = new byte[64 * 1024];
        while (await stream.ReadAsync(buffer) is > 0 and var count)
        {
            lock (_output)
            {
                _output.Write(buffer, 0, count);
            }
        }
    }

    private async Task ReadErrorsAsync()
    {
        const string Listening = "listening on ";
        while (await _process.StandardError.ReadLineAsync() is { } line)
        {
            if (line.StartsWith(Listening, StringComparison.Ordinal))
            {
                _listening.TrySetResult(IPEndPoint.Parse(line[Listening.Length..]));
                continue;
            }

            lock (_errorLines)
            {
                _errorLines.Add(line);
            }
        }

        _listening.TrySetException(new TimeoutException());
    }

    // The tests are in tests/NAME/bin/CONFIGURATION/FRAMEWORK.
    private static string FindAssembly()
    {
        var framework = new DirectoryInfo(AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar));
        var configuration = framework.Parent!;
        var root = configuration.Parent!.Parent!.Parent!.Parent!;
        return Path.Combine(root.FullName, "src", "UtpPunch.Cli", "bin", configuration.Name, framework.Name, "utp.dll");
    }

    [DllImport("libc", EntryPoint = "kill")]
    private static extern int SendSignal(int processId, int signal);
}
