using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace UtpPunch.NatLab.Network;

/// <summary>
/// A network namespace without a name, with one thread in it that runs actions. A socket that is made on that thread belongs to the namespace,
/// on whatever thread it is used, and a process that is started there runs there. Nothing has to be deleted: the thread, the sockets and
/// the processes end with this program, in whatever way it ends, and then the kernel removes the namespace.
/// </summary>
internal sealed class Namespace : IDisposable
{
    private readonly BlockingCollection<Action> _actions = [];
    private readonly Thread _thread;
    private readonly TaskCompletionSource<int> _entered = new();

    /// <param name="name">For messages.</param>
    /// <param name="hasIPv6">Whether devices in it have IPv6.</param>
    public Namespace(string name, bool hasIPv6 = false)
    {
        _thread = new Thread(Live) { IsBackground = true, Name = name };
        _thread.Start();
        ThreadId = _entered.Task.GetAwaiter().GetResult();
        if (!hasIPv6)
        {
            Run(() => File.WriteAllText("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"));
        }
    }

    /// <summary>The namespace as an argument of `ip`.</summary>
    public string Path => $"/proc/{Environment.ProcessId}/task/{ThreadId}/ns/net";

    /// <summary>The file that programs inside have as /etc/resolv.conf; null for that of the machine.</summary>
    public string? ResolverFile { get; set; }

    private int ThreadId { get; }

    // Mounted in a namespace of the program's own, which keeps its id.
    private string[] Resolving =>
        ResolverFile is null ? [] : ["unshare", "--mount", "sh", "-c", "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"", ResolverFile];

    public void Dispose()
    {
        _actions.CompleteAdding();
        _thread.Join();
        _actions.Dispose();
    }

    /// <summary>Runs a function inside; its result.</summary>
    public T Run<T>(Func<T> work)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        _actions.Add(() =>
        {
            try
            {
                done.SetResult(work());
            }
            catch (Exception error)
            {
                done.SetException(error);
            }
        });
        return done.Task.GetAwaiter().GetResult();
    }

    public void Run(Action work) => Run(() =>
    {
        work();
        return true;
    });

    /// <summary>A UDP socket inside.</summary>
    public Socket Bind(IPEndPoint? local = null) => Run(() =>
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(local ?? new IPEndPoint(IPAddress.Any, 0));
        return socket;
    });

    /// <summary>Starts a process inside, which dies with this program even when that is killed.</summary>
    public Process Start(string program, params IEnumerable<string> arguments) => Run(() =>
        // For Linux the parent is the thread that started the process; ours exists as long as the namespace.
        Process.Start(new ProcessStartInfo("setpriv", ["--pdeathsig", "KILL", .. Resolving, program, .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!);

    /// <summary>Runs a program that reads commands from standard input and must succeed.</summary>
    public void Order(string program, string[] arguments, string orders)
    {
        using var process = Start(program, arguments);
        process.StandardInput.Write(orders);
        process.StandardInput.Close();
        var errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0)
        {
            throw new IOException($"{program} failed: {errors.Trim()}\n{orders}");
        }
    }

    /// <summary>Runs `ip` commands, one a line.</summary>
    public void Ip(string commands) => Order("ip", ["-batch", "-"], commands);

    private void Live()
    {
        try
        {
            Libc.EnterNewNetwork();
            _entered.SetResult(Libc.ThreadId());
        }
        catch (IOException error)
        {
            _entered.SetException(error);
            return;
        }

        foreach (var action in _actions.GetConsumingEnumerable())
        {
            action();
        }
    }
}
