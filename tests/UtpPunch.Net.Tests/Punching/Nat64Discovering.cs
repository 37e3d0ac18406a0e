using System.Net;
using System.Net.Sockets;
using UtpPunch.Protocol;

namespace UtpPunch.Tests;

/// <summary>How a node finds the prefix of its network's NAT64 (RFC 7050), with a network that the test plays.</summary>
public static class Nat64Discovering
{
    private static readonly IPAddress[] s_answers = [IPAddress.Parse("2001:db8:64::192.0.0.170"), IPAddress.Parse("2001:db8:64::192.0.0.171")];
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(20);

    [Fact("a machine with a route to IPv4 addresses, or with none at all, asks for no prefix")]
    public static async Task NotAsked()
    {
        foreach (var hasIPv4 in new[] { true, false })
        {
            var network = new Played { HasIPv4 = hasIPv4, HasIPv6 = hasIPv4 };
            Check.Equal(0, (await network.FindAsync()).Length);
            Check.Equal((0, 0), (network.Queries, network.Changes.Count));
        }
    }

    [Fact("the prefix is asked for once, however many callers there are, and the node learns it before them")]
    public static async Task AskedOnce()
    {
        var network = new Played();
        var callers = Enumerable.Range(0, 20).Select(_ => network.FindAsync()).ToArray();
        network.Answer.SetResult(s_answers);
        foreach (var caller in callers)
        {
            var prefix = (await caller.Within()).Single();
            Check.Equal((96, 0x2001_0DB8_0064_0000UL), (prefix.Length, prefix.High));
        }

        Check.Equal(1, (await network.FindAsync()).Length);
        Check.Equal((1, 1), (network.Queries, network.Changes.Count));
    }

    [Fact("a query that is lost is repeated after a second")]
    public static async Task Repeated()
    {
        var network = new Played { Lost = 1 };
        network.Answer.SetResult(s_answers);
        Check.Equal(1, (await network.FindAsync().Within()).Length);
        Check.Equal(2, network.Queries);
    }

    [Fact("a caller waits for its time at most, and gets the prefix later")]
    public static async Task Late()
    {
        var network = new Played();
        Check.Equal(0, (await network.Discovery.FindAsync(TimeSpan.FromMilliseconds(20), default).AsTask().Within()).Length);
        using var source = new CancellationTokenSource();
        var cancelled = network.Discovery.FindAsync(s_timeout, source.Token).AsTask();
        await source.CancelAsync();
        await Check.ThrowsAsync<OperationCanceledException>(() => cancelled.Within());
        network.Answer.SetResult(s_answers);
        Check.Equal(1, (await network.FindAsync().Within()).Length);
        Check.Equal(1, network.Changes.Count);
    }

    [Fact("a resolver that never answers delays a caller by a few seconds, and the next one not at all")]
    public static async Task Silent()
    {
        var network = new Played();
        Check.Equal(0, (await network.FindAsync().Within()).Length);
        Check.That(network.Discovery.FindAsync(s_timeout, default).IsCompletedSuccessfully, "no second wait");
        Check.Equal((3, 0), (network.Queries, network.Changes.Count));
    }

    [Fact("a network without a DNS64 has no prefix")]
    public static async Task NoAnswer()
    {
        var network = new Played();
        network.Answer.SetException(new SocketException((int)SocketError.NoData));
        Check.Equal(0, (await network.FindAsync().Within()).Length);
        Check.Equal(0, network.Changes.Count);
    }

    [Fact("in another network the prefix is another one, and where IPv4 addresses have a route there is none")]
    public static async Task Renewed()
    {
        var network = new Played();
        network.Answer.SetResult(s_answers);
        await network.FindAsync().Within();
        network.Answer = new TaskCompletionSource<IPAddress[]>();
        var renewed = network.Discovery.RenewAsync();
        Check.Equal(1, network.Discovery.Known.Length);
        network.Answer.SetResult([IPAddress.Parse("64:ff9b::192.0.0.170")]);
        Check.Equal(Nat64.wellKnown, (await renewed.Within()).Single());
        network.HasIPv4 = true;
        Check.That(network.Discovery.RenewAsync().IsCompletedSuccessfully, "nothing is to be asked");
        Check.Equal(0, network.Discovery.Known.Length);
        Check.Equal("1 1 0", string.Join(' ', network.Changes.Select(prefixes => prefixes.Length)));
    }

    [Fact("a prefix that the application names is not asked for")]
    public static async Task Given()
    {
        var network = new Played(Nat64.wellKnown);
        Check.Equal(Nat64.wellKnown, (await network.FindAsync()).Single());
        Check.Equal((0, 1), (network.Queries, network.Changes.Count));
    }

    [Fact("the prefix in the options is one that a NAT64 may have")]
    public static void Checked()
    {
        foreach (var text in new[] { "64:ff9b::/96", "2001:db8::/32", "2001:db8:100::/40", "fd00:1:2:3::/64" })
        {
            new UtpNodeOptions { Nat64Prefix = IPNetwork.Parse(text) }.Validate();
        }

        foreach (var text in new[] { "64:ff9b::/95", "2001:db8::/128", "10.0.0.0/8", "::/0", "fe80::/64", "2001:db8::100:0:0:0/96" })
        {
            var error = Check.Throws<ArgumentException>(() => new UtpNodeOptions { Nat64Prefix = IPNetwork.Parse(text) }.Validate());
            Check.Equal(nameof(UtpNodeOptions.Nat64Prefix), error.ParamName!);
        }
    }

    /// <summary>A network, and a discovery in it.</summary>
    private sealed class Played
    {
        private int _queries;

        public Played(Nat64Prefix? given = null) =>
            Discovery = new Nat64Discovery(new Nat64Network(() => HasIPv4, () => HasIPv6, Resolve), given, Changes.Add);

        public Nat64Discovery Discovery { get; }

        public bool HasIPv4 { get; set; }

        public bool HasIPv6 { get; init; } = true;

        public TaskCompletionSource<IPAddress[]> Answer { get; set; } = new();

        /// <summary>How many queries are not answered.</summary>
        public int Lost { get; init; }

        public int Queries => Volatile.Read(ref _queries);

        public List<Nat64Prefix[]> Changes { get; } = [];

        public Task<Nat64Prefix[]> FindAsync() => Discovery.FindAsync(s_timeout, default).AsTask();

        private Task<IPAddress[]> Resolve(CancellationToken cancellationToken)
        {
            return Interlocked.Increment(ref _queries) <= Lost ? new TaskCompletionSource<IPAddress[]>().Task : Answer.Task;
        }
    }
}
