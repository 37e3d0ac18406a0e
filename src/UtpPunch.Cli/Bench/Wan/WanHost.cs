using System.Diagnostics;

namespace UtpPunch.Cli.Bench;

/// <summary>
/// A host at one end of an emulated path: a network namespace without a name, and a shell in it that carries out commands. Nothing has to be
/// deleted: the shell and the workers end when their standard input does, in whatever way this program ends, and then the kernel removes the
/// namespace. No thread of this program enters it, since the threads of the runtime that such a thread starts would stay there.
/// </summary>
internal sealed class WanHost : IDisposable
{
    private const string Done = "done";
    private const string Device = "wan";

    // The buffers of TCP must not be the narrowest place, and only the workers must send.
    private static readonly string[] s_limits =
    [
        "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6",
        "echo 4096 131072 67108864 > /proc/sys/net/ipv4/tcp_rmem",
        "echo 4096 131072 67108864 > /proc/sys/net/ipv4/tcp_wmem",
    ];

    private readonly ChildProcess _shell = new(new ProcessStartInfo("unshare", ["--net", "sh"]));

    /// <summary>Carries out commands, each of which must succeed.</summary>
    public async Task RunAsync(string[] commands, CancellationToken cancellationToken)
    {
        _shell.Say(string.Join('\n', ["set -e", .. commands, $"echo {Done}"]));
        if (await _shell.ReadLineAsync(cancellationToken) != Done)
        {
            throw new BenchException("the network of an emulated path was not set up");
        }
    }

    /// <summary>Starts a worker on this host.</summary>
    public Worker Start(ProcessStartInfo worker)
    {
        var inside = new ProcessStartInfo("nsenter", [$"--net=/proc/{_shell.Id}/ns/net", worker.FileName, .. worker.ArgumentList]);

        // Idle threads of the pool do not spin: the processor time is the link's, and the figure is not the processor's.
        inside.Environment["DOTNET_ThreadPool_UnfairSemaphoreSpinLimit"] = "0";
        return new Worker(inside);
    }

    /// <summary>Gives this host a TUN device with an address; its descriptor, which the caller closes.</summary>
    public async Task<int> AttachAsync(string ip, string peer, CancellationToken cancellationToken)
    {
        // The shell answers from inside: the namespace exists before the device moves there.
        await RunAsync([], cancellationToken);
        var name = $"utp{Environment.ProcessId}";
        var descriptor = Kernel.OpenTun(name);
        try
        {
            using var move = Process.Start("ip", ["link", "set", name, "name", Device, "netns", $"{_shell.Id}"]);
            await move.WaitForExitAsync(cancellationToken);
            await RunAsync(
                [
                    .. s_limits,
                    "ip link set lo up",
                    $"ip addr add {ip} peer {peer} dev {Device}",
                    $"ip link set {Device} mtu 1500 txqueuelen 20000 up",
                ],
                cancellationToken);
            return descriptor;
        }
        catch
        {
            Kernel.Close(descriptor);
            throw;
        }
    }

    /// <summary>The packets that its device has dropped, since this program did not read them in time.</summary>
    public long DroppedPackets()
    {
        const int SentDropped = 11;                             // of 16 counters; the first 8 are those of received packets
        var line = File.ReadLines($"/proc/{_shell.Id}/net/dev").Single(line => line.TrimStart().StartsWith($"{Device}:", StringComparison.Ordinal));
        return long.Parse(line.Split(':')[1].Split(' ', StringSplitOptions.RemoveEmptyEntries)[SentDropped]);
    }

    public void Dispose() => _shell.Dispose();
}
