using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace UtpPunch.NatLab.Network;

/// <summary>
/// A network namespace without a name: one thread lives in it and does there what it is asked to. A socket that is made there belongs
/// there, whoever uses it, and a process that is started there runs there. Nothing has to be deleted: when the thread, the sockets
/// and the processes are gone, and they go with this program, however it ends, the kernel removes the namespace with all that is in it.
/// </summary>
internal sealed class Namespace : IDisposable
{
    private readonly BlockingCollection<Action> _wishes = [];
    private readonly Thread _thread;
    private readonly TaskCompletionSource<int> _entered = new();

    public Namespace(string name)
    {
        _thread = new Thread(Live) { IsBackground = true, Name = name };
        _thread.Start();
        ThreadId = _entered.Task.GetAwaiter().GetResult();
        Run(() => File.WriteAllText("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"));
    }

    /// <summary>What `ip` takes for a namespace.</summary>
    public string Path => $"/proc/{Environment.ProcessId}/task/{ThreadId}/ns/net";

    private int ThreadId { get; }

    public void Dispose()
    {
        _wishes.CompleteAdding();
        _thread.Join();
        _wishes.Dispose();
    }

    /// <summary>Does something inside, and gives what it gives.</summary>
    public T Run<T>(Func<T> work)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        _wishes.Add(() =>
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
        // Linux takes "the parent is dead" for the thread that started the process: ours lives as long as the namespace.
        Process.Start(new ProcessStartInfo("setpriv", ["--pdeathsig", "KILL", program, .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!);

    /// <summary>Runs a program that reads its orders from standard input and must succeed.</summary>
    public void Order(string program, string[] arguments, string orders)
    {
        using var process = Start(program, arguments);
        process.StandardInput.Write(orders);
        process.StandardInput.Close();
        var complaints = process.StandardError.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0)
        {
            throw new IOException($"{program} failed: {complaints.Trim()}\n{orders}");
        }
    }

    /// <summary>Tells `ip` what to make, a command a line.</summary>
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

        foreach (var wish in _wishes.GetConsumingEnumerable())
        {
            wish();
        }
    }
}
