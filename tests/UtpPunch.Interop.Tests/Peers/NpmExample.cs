using System.Diagnostics;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>One program of utp-punch's own example, unchanged: tracker.js, server.js or client.js. It ends with this object.</summary>
internal sealed class NpmExample : IDisposable
{
    private static readonly string Folder = Path.Combine(NpmPeer.Folder, "node_modules", "utp-punch", "example");
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(40);

    private readonly Process _process;
    private readonly Task _reading;
    private readonly List<string> _lines = [];
    private readonly List<(string Part, TaskCompletionSource Said)> _awaited = [];

    private NpmExample(string[] command)
    {
        _process = Process.Start(new ProcessStartInfo(command[0], command[1..]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        _reading = Task.WhenAll(ReadAsync(_process.StandardOutput), ReadAsync(_process.StandardError));
    }

    /// <summary>Starts it in a namespace, and waits until it is ready; all three are given the address of the tracker.</summary>
    public static async Task<NpmExample> StartAsync(string file, NamespacePair namespaces, string address, string tracker, string ready)
    {
        var example = new NpmExample([.. namespaces.On(address), "node", Path.Combine(Folder, file), tracker]);
        try
        {
            await example.SaysAsync(ready);
            return example;
        }
        catch
        {
            example.Dispose();
            throw;
        }
    }

    /// <summary>Waits until it has written a line with this text.</summary>
    public async Task SaysAsync(string part)
    {
        var said = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_lines)
        {
            if (_lines.Any(line => line.Contains(part, StringComparison.Ordinal)))
            {
                return;
            }

            _awaited.Add((part, said));
        }

        await Task.WhenAny(said.Task, _reading, Task.Delay(Timeout));
        Check.That(said.Task.IsCompleted, $"'{part}' is among the lines of {string.Join(' ', _process.StartInfo.ArgumentList)}:\n{this}");
    }

    public override string ToString()
    {
        lock (_lines)
        {
            return string.Join('\n', _lines);
        }
    }

    public void Dispose()
    {
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }

    private async Task ReadAsync(StreamReader reader)
    {
        while (await reader.ReadLineAsync() is { } line)
        {
            lock (_lines)
            {
                _lines.Add(line);
                _awaited.Where(it => line.Contains(it.Part, StringComparison.Ordinal)).ToList().ForEach(it => it.Said.TrySetResult());
            }
        }
    }
}
