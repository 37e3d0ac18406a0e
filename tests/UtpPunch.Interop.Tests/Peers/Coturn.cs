using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>coturn as a STUN server with two addresses and two ports of this machine, in a process that ends with this object.</summary>
internal sealed class Coturn : IDisposable
{
    public const string Missing = "needs coturn (`turnserver`, `turnutils_stunclient` and `turnutils_natdiscovery` on the PATH) and Linux";

    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(20);

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("utp-punch-coturn-");
    private readonly ConcurrentQueue<string> _lines = new();
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Process _process;
    private readonly Task _reading;

    private Coturn(IPEndPoint primary, IPEndPoint other)
    {
        (Primary, Other) = (primary, other);
        _process = Process.Start(new ProcessStartInfo(
            OtherTool.Find("turnserver")!,
            [
                // All of its files are in a folder of its own, and TURN and all other services are off.
                "-n", "--log-file", "stdout", "--pidfile", Path.Combine(_folder.FullName, "pid"), "-b", Path.Combine(_folder.FullName, "db"),
                "--stun-only", "--no-auth", "--no-cli", "--no-tls", "--no-dtls", "--no-tcp",
                "--listening-port", $"{primary.Port}", "--alt-listening-port", $"{other.Port}",
                "-L", $"{primary.Address}", "-L", $"{other.Address}",
            ])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        _reading = Task.WhenAll(ReadAsync(_process.StandardOutput), ReadAsync(_process.StandardError));
    }

    /// <summary>Whether all of its programs are installed.</summary>
    public static bool IsAvailable { get; } =
        OperatingSystem.IsLinux()
        && new[] { "turnserver", "turnutils_stunclient", "turnutils_natdiscovery" }.All(name => OtherTool.Find(name) is not null);

    public IPEndPoint Primary { get; }
    public IPEndPoint Other { get; }

    /// <summary>Starts it on free ports, and waits until it listens.</summary>
    public static async Task<Coturn> StartAsync()
    {
        Skip.Unless(IsAvailable, Missing);
        for (var attempt = 1; ; attempt++)
        {
            var coturn = OnFreePorts();
            await Task.WhenAny(coturn._ready.Task, coturn._reading, Task.Delay(Timeout));
            if (coturn._ready.Task.IsCompleted)
            {
                return coturn;
            }

            // Another process may have taken a port in between.
            coturn.Dispose();
            if (attempt == 3)
            {
                throw new InvalidOperationException($"coturn does not start:\n{string.Join('\n', coturn._lines)}");
            }
        }
    }

    public void Dispose()
    {
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
        _folder.Delete(recursive: true);
    }

    private static Coturn OnFreePorts()
    {
        var sockets = StunSockets.BindFour();
        var (primary, other) = ((IPEndPoint)sockets[0].Client.LocalEndPoint!, (IPEndPoint)sockets[3].Client.LocalEndPoint!);
        foreach (var socket in sockets)
        {
            socket.Dispose();
        }

        return new Coturn(primary, other);
    }

    private async Task ReadAsync(StreamReader from)
    {
        while (await from.ReadLineAsync() is { } line)
        {
            _lines.Enqueue(line);
            if (line.Contains("Total General servers", StringComparison.Ordinal))
            {
                _ready.TrySetResult();
            }
        }
    }
}
