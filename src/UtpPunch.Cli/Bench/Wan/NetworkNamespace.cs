using System.Collections.Concurrent;
using System.Diagnostics;

namespace UtpPunch.Cli.Bench;

/// <summary>
/// A network namespace without a name, with one thread in it that runs actions. A device that is created on that thread belongs to the
/// namespace, and a process that is started there runs there. Nothing has to be deleted: the thread and the workers end with this program,
/// in whatever way it ends, and then the kernel removes the namespace with its devices.
/// </summary>
internal sealed class NetworkNamespace : IDisposable
{
    private readonly BlockingCollection<Action> _actions = [];
    private readonly TaskCompletionSource _entered = new();
    private readonly Thread _thread;

    public NetworkNamespace(string name)
    {
        _thread = new Thread(Live) { IsBackground = true, Name = name };
        _thread.Start();
        _entered.Task.GetAwaiter().GetResult();
    }

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

    /// <summary>Sets a parameter of the namespace's network, such as `ipv4/tcp_rmem`.</summary>
    public void Set(string parameter, string value) => Run(() =>
    {
        File.WriteAllText($"/proc/sys/net/{parameter}", value);
        return true;
    });

    /// <summary>Runs `ip` commands, one a line.</summary>
    public void Ip(string commands) => Run(() =>
    {
        using var process = Process.Start(new ProcessStartInfo("ip", ["-batch", "-"])
        {
            RedirectStandardInput = true,
            RedirectStandardError = true,
        })!;
        process.StandardInput.Write(commands);
        process.StandardInput.Close();
        var errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? true : throw new IOException($"ip failed: {errors.Trim()}");
    });

    private void Live()
    {
        try
        {
            Kernel.EnterNewNetwork();
            _entered.SetResult();
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
