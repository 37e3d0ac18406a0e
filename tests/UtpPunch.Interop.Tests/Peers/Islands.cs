using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>
/// Two network namespaces of the kernel and a cable between them, for programs that insist on their ports: every port is free there, and
/// nobody else hears them. They are gone with this object.
/// </summary>
internal sealed class Islands : IDisposable
{
    /// <summary>The addresses of the two, for documentation only (RFC 5737).</summary>
    public const string West = "192.0.2.1";

    public const string East = "192.0.2.2";

    private static int s_count;

    private readonly string _name = $"utp{Environment.ProcessId}x{Interlocked.Increment(ref s_count)}";

    private Islands()
    {
    }

    /// <summary>Digs the channel; skips the test where that is not allowed.</summary>
    public static async Task<Islands> RaiseAsync()
    {
        var mayDig = OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess && OtherTool.Find("ip") is not null;
        Skip.Unless(mayDig, "needs Linux, root, and `ip` of iproute2");
        var islands = new Islands();
        try
        {
            await IpAsync($"netns add {islands.NameOf(West)}");
            await IpAsync($"netns add {islands.NameOf(East)}");
            await IpAsync($"link add cable netns {islands.NameOf(West)} type veth peer name cable netns {islands.NameOf(East)}");
            foreach (var address in new[] { West, East })
            {
                await IpAsync($"-n {islands.NameOf(address)} address add {address}/24 dev cable");
                await IpAsync($"-n {islands.NameOf(address)} link set lo up");
                await IpAsync($"-n {islands.NameOf(address)} link set cable up");
            }

            return islands;
        }
        catch
        {
            islands.Dispose();
            throw;
        }
    }

    /// <summary>The words in front of a command that is to run on the island of an address. It keeps its process id.</summary>
    public string[] On(string address) => ["ip", "netns", "exec", NameOf(address)];

    /// <summary>Does something on an island; the sockets that it opens stay there.</summary>
    public T Do<T>(string address, Func<T> work)
    {
        const int Network = 0x40000000;
        T? result = default;
        Exception? failure = null;

        // A namespace is a matter of the thread, so this one is not used for anything else.
        var thread = new Thread(() =>
        {
            try
            {
                using var island = File.OpenHandle($"/run/netns/{NameOf(address)}");
                Check.Equal(0, SetNamespace(island, Network));
                result = work();
            }
            catch (Exception error)
            {
                failure = error;
            }
        });
        thread.Start();
        thread.Join();
        return failure is null ? result! : throw new InvalidOperationException($"On the island of {address}: {failure.Message}", failure);
    }

    public void Dispose()
    {
        foreach (var address in new[] { West, East }.Where(address => File.Exists($"/run/netns/{NameOf(address)}")))
        {
            IpAsync($"netns delete {NameOf(address)}").GetAwaiter().GetResult();
        }
    }

    private string NameOf(string address) => $"{_name}{(address == West ? 'w' : 'e')}";

    private static Task IpAsync(string words) => OtherTool.RunAsync("ip", words.Split(' '));

    [DllImport("libc", EntryPoint = "setns", SetLastError = true)]
    private static extern int SetNamespace(SafeFileHandle handle, int kind);
}
