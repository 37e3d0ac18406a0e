using System.Net;
using System.Security.Cryptography;
using UtpPunch.Tests;

namespace UtpPunch.Interop;

/// <summary>Shared by the tests with npm's libraries: our side of an exchange.</summary>
internal static class Interop
{
    public const int Mebibyte = 1 << 20;
    public const int OurSeed = 1;
    public const int TheirSeed = 2;

    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(30);

    /// <summary>Every congestion control of the library.</summary>
    public static IEnumerable<object> Controllers => UtpCongestionControl.All;

    /// <summary>Those that are not the default.</summary>
    public static IEnumerable<object> OtherControllers => UtpCongestionControl.All.Where(it => it != new UtpNodeOptions().CongestionControl);

    /// <summary>Our node on loopback, in the library's dialect.</summary>
    public static ValueTask<UtpNode> BindAsync(string library, UtpTraceOptions? trace = null, UtpCongestionControl? control = null)
    {
        Skip.Unless(NpmPeer.IsAvailable, NpmPeer.Missing);
        var options = new UtpNodeOptions
        {
            LocalEndPoint = new IPEndPoint(IPAddress.Loopback, 0),
            Dialect = DialectOf(library),
            Trace = trace,
            ShutdownTimeout = TimeSpan.Zero, // when the node ends, the peer is gone
        };
        options.CongestionControl = control ?? options.CongestionControl;
        return UtpNode.BindAsync(options);
    }

    public static ValueTask<UtpStream> DialAsync(UtpNode node, string library, IPEndPoint target, TimeSpan? timeout = null) =>
        node.ConnectAsync(target, new UtpConnectOptions { Dialect = DialectOf(library), Timeout = timeout ?? Timeout });

    public static async Task<UtpStream> AcceptAsync(UtpListener listener)
    {
        using var soon = new CancellationTokenSource(Timeout);
        return await listener.AcceptAsync(soon.Token);
    }

    /// <summary>Writes the first <paramref name="count"/> bytes of a seed.</summary>
    public static async Task SendAsync(UtpStream stream, int count, int seed = OurSeed)
    {
        var noise = new PeerNoise(seed);
        var buffer = new byte[64 * 1024];
        for (var sent = 0; sent < count;)
        {
            var chunk = buffer.AsMemory(0, Math.Min(buffer.Length, count - sent));
            noise.Fill(chunk.Span);
            await stream.WriteAsync(chunk);
            sent += chunk.Length;
        }
    }

    /// <summary>Reads until the other side has ended.</summary>
    public static async Task<Digest> ReceiveAsync(UtpStream stream)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[64 * 1024];
        var total = 0L;
        while (await stream.ReadAsync(buffer) is var count and > 0)
        {
            hash.AppendData(buffer, 0, count);
            total += count;
        }

        return new Digest(total, Convert.ToHexStringLower(hash.GetHashAndReset()));
    }

    /// <summary>The number and hash of the bytes that the peer reports.</summary>
    public static async Task<Digest> ReceivedByAsync(NpmPeer peer)
    {
        var received = await peer.WaitAsync("received");
        return new Digest(received.Bytes, received.Sha256);
    }

    /// <summary>The number and hash of the first <paramref name="count"/> bytes of a seed.</summary>
    public static Digest Of(int seed, int count) => new(count, Convert.ToHexStringLower(SHA256.HashData(PeerNoise.Bytes(seed, count))));

    private static UtpDialect DialectOf(string library) => library == NpmPeer.Punch ? UtpDialect.Npm : UtpDialect.Bep29;
}

/// <summary>The number of received bytes, and their hash.</summary>
internal readonly record struct Digest(long Bytes, string Sha256);
