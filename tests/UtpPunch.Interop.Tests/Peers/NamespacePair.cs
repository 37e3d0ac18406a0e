using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>
/// Two network namespaces of the kernel with a virtual cable between them, for programs with fixed ports or several addresses: every port is
/// free there, and the namespaces are isolated from the machine. They are removed with this object.
/// </summary>
internal sealed class NamespacePair : IDisposable
{
    /// <summary>The addresses of the two, for documentation only (RFC 5737).</summary>
    public const string West = "192.0.2.1";

    public const string East = "192.0.2.2";

    /// <summary>The link-local addresses of the two, without the interface, which is <see cref="Cable"/> in both.</summary>
    public const string LinkLocalWest = "fe80::1";

    public const string LinkLocalEast = "fe80::2";

    public const string Cable = "cable";

    private static int s_count;

    private readonly string _name = $"utp{Environment.ProcessId}x{Interlocked.Increment(ref s_count)}";

    private NamespacePair()
    {
    }

    /// <summary>Creates the namespaces; skips the test where that is not allowed.</summary>
    public static async Task<NamespacePair> CreateAsync()
    {
        var isAllowed = OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess && OtherTool.Find("ip") is not null;
        Skip.Unless(isAllowed, "needs Linux, root, and `ip` of iproute2");
        var namespaces = new NamespacePair();
        try
        {
            await IpAsync($"netns add {namespaces.NameOf(West)}");
            await IpAsync($"netns add {namespaces.NameOf(East)}");
            await IpAsync($"link add {Cable} netns {namespaces.NameOf(West)} type veth peer name {Cable} netns {namespaces.NameOf(East)}");
            foreach (var (address, linkLocal) in new[] { (West, LinkLocalWest), (East, LinkLocalEast) })
            {
                // The address that the kernel would choose cannot be used for a second.
                await IpAsync($"-n {namespaces.NameOf(address)} link set {Cable} addrgenmode none");
                await IpAsync($"-n {namespaces.NameOf(address)} link set lo up");
                await IpAsync($"-n {namespaces.NameOf(address)} link set {Cable} up");
                await namespaces.AddAsync(address, $"{address}/24", $"{linkLocal}/64");
            }

            return namespaces;
        }
        catch
        {
            namespaces.Dispose();
            throw;
        }
    }

    /// <summary>The prefix of a command that is to run in the namespace of an address. The process keeps its id.</summary>
    public string[] On(string address) => ["ip", "netns", "exec", NameOf(address)];

    /// <summary>Adds addresses to one of the two, with the lengths of their prefixes.</summary>
    public async Task AddAsync(string address, params string[] added)
    {
        foreach (var it in added)
        {
            await IpAsync($"-n {NameOf(address)} address add {it} dev {Cable}{(it.Contains(':', StringComparison.Ordinal) ? " nodad" : "")}");
        }
    }

    /// <summary>Removes an address of one of the two.</summary>
    public Task RemoveAsync(string address, string removed) => IpAsync($"-n {NameOf(address)} address delete {removed} dev {Cable}");

    /// <summary>Runs an action in a namespace; the sockets that it opens stay there.</summary>
    public T Do<T>(string address, Func<T> work)
    {
        const int Network = 0x40000000;
        T? result = default;
        Exception? failure = null;

        // A namespace belongs to a thread, so this thread is not used for anything else.
        var thread = new Thread(() =>
        {
            try
            {
                using var handle = File.OpenHandle($"/run/netns/{NameOf(address)}");
                Check.Equal(0, SetNamespace(handle, Network));
                result = work();
            }
            catch (Exception error)
            {
                failure = error;
            }
        });
        thread.Start();
        thread.Join();
        return failure is null ? result! : throw new InvalidOperationException($"In the namespace of {address}: {failure.Message}", failure);
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
