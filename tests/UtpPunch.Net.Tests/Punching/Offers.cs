using System.Buffers.Text;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace UtpPunch.Tests;

/// <summary>Punching by offers that the application carries.</summary>
public static class Offers
{
    private static readonly UtpPunchOptions s_short = new() { Timeout = TimeSpan.FromSeconds(1), PunchTimeout = TimeSpan.FromSeconds(1) };

    [Fact("an offer and its answer lead to a stream, with a STUN server and without, with a secret and without")]
    public static async Task Exchange()
    {
        await using var server = UtpRendezvousServer.Bind(new UtpRendezvousServerOptions { LocalEndPoints = [Loopback, Loopback], EnableStun = true });
        foreach (var secret in new[] { null, "only we know" })
        {
            foreach (IPEndPoint[] servers in new IPEndPoint[][] { [], [.. server.LocalEndPoints] })
            {
                await using var one = await Pair.BindAsync();
                await using var other = await Pair.BindAsync();
                var options = new UtpPunchOptions { Secret = secret };
                using var offer = await one.CreateOfferAsync(servers, options).AsTask().Within();
                using var answer = await other.CreateAnswerAsync($"\n {offer} \n", servers, options).AsTask().Within();
                Check.Equal((false, true), (offer.IsAnswer, answer.IsAnswer));
                Check.Equal(servers.Length > 0 ? one.LocalEndPoint : null, offer.ObservedEndPoint);
                Check.Equal(servers.Length > 0 ? UtpNatPortAssignment.EndpointIndependent : UtpNatPortAssignment.Unknown, offer.PortAssignment);
                var paths = await PunchAsync(one, offer, other, answer);
                foreach (var path in paths)
                {
                    Check.That(path.Success, path.Explanation);
                }

                Check.Equal(other.LocalEndPoint, paths[0].Path!.RemoteEndPoint);
                var streams = await Task.WhenAll(paths.Select(path => path.Path!.OpenAsync().AsTask())).Within();
                Check.Equal(1, streams.Count(stream => stream.IsIncoming));
                await streams[0].WriteAsync(new byte[] { 7 }).Within();
                var heard = new byte[1];
                await streams[1].ReadExactlyAsync(heard).Within();
                Check.Equal(7, heard[0]);
                streams[0].Abort();
            }
        }
    }

    [Fact("two offers that were made at the same time need no answer, and one offer serves several peers")]
    public static async Task Several()
    {
        await using var one = await Pair.BindAsync();
        using var offer = await one.CreateOfferAsync([]).AsTask().Within();
        for (var index = 0; index < 3; index++)
        {
            await using var other = await Pair.BindAsync();
            using var theirs = await other.CreateOfferAsync([]).AsTask().Within();
            foreach (var path in await PunchAsync(one, offer, other, theirs))
            {
                Check.That(path.Success, path.Explanation);
            }
        }
    }

    [Fact("texts that are no offers, cut, changed, too long, of another version or the node's own are refused with an error of their own")]
    public static async Task Refused()
    {
        await using var node = await Pair.BindAsync();
        await using var other = await Pair.BindAsync();
        using var own = await node.CreateOfferAsync([]).AsTask().Within();
        using var theirs = await other.CreateOfferAsync([]).AsTask().Within();
        var bytes = Base64Url.DecodeFromChars(theirs.Text);

        foreach (var (text, error, part) in new[]
        {
            ("", UtpError.InvalidOffer, "something else"),
            ("hello, world", UtpError.InvalidOffer, "base64url"),
            ("aGVsbG8", UtpError.InvalidOffer, "something else"),
            (theirs.Text[..^1], UtpError.InvalidOffer, ""),
            (theirs.Text[..100], UtpError.InvalidOffer, "cut"),
            (theirs.Text + theirs.Text, UtpError.InvalidOffer, "cut or changed"),
            (Changed(it => it[70] ^= 1, isHashed: false), UtpError.InvalidOffer, "cut or changed"),
            (Changed(it => it[3] = 2), UtpError.OfferVersionNotSupported, "version 2"),
            (Changed(it => it.AsSpan(5, 64).Clear()), UtpError.InvalidOffer, "point"),
            (Changed(it => it[69 + 4] = 9), UtpError.InvalidOffer, "contents"),
            (new string('A', 1_000_000), UtpError.InvalidOffer, "1000000 characters"),
            (own.Text, UtpError.InvalidOffer, "own"),
        })
        {
            var failure = await Check.ThrowsAsync<UtpException>(() => node.PunchAsync(own, text).AsTask().Within());
            Check.Equal(error, failure.Error);
            Check.That(failure.Message.Contains(part, StringComparison.Ordinal), failure.Message);
        }

        await Check.ThrowsAsync<ArgumentException>(() => node.PunchAsync(theirs, own.Text).AsTask());
        await Check.ThrowsAsync<ArgumentException>(() => node.CreateOfferAsync([.. Enumerable.Repeat(Loopback, 5)]).AsTask());

        string Changed(Action<byte[]> change, bool isHashed = true)
        {
            var copy = bytes.ToArray();
            change(copy);
            if (isHashed)
            {
                SHA256.HashData(copy.AsSpan(0, copy.Length - 4)).AsSpan(0, 4).CopyTo(copy.AsSpan(copy.Length - 4));
            }

            return Base64Url.EncodeToString(copy);
        }
    }

    [Fact("an offer with thousands of candidates is read, and eight of them are used")]
    public static async Task Candidates()
    {
        await using var node = await Pair.BindAsync();
        using var own = await node.CreateOfferAsync([], s_short).AsTask().Within();
        var bytes = Base64Url.DecodeFromChars(own.Text);

        // 255 hosts, as far as the longest offer has room: the count is before the hosts, of which a node on the loopback has one.
        var header = bytes[..^(4 + 18 + 1)];
        using var pair = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256);
        var point = pair.ExportParameters(includePrivateParameters: false).Q;
        point.X!.CopyTo(header, 5);
        point.Y!.CopyTo(header, 5 + 32);
        header[69 + 5] ^= 1;
        using var deaf = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        deaf.Bind(Loopback);
        var port = ((IPEndPoint)deaf.LocalEndPoint!).Port;
        byte[] body = [.. header, 255, .. Enumerable.Range(0, 45).SelectMany(index => Host((byte)(1 + index), port))];
        var offer = Base64Url.EncodeToString([.. body, .. SHA256.HashData(body).AsSpan(0, 4)]);
        var result = await node.PunchAsync(own, offer).AsTask().Within();
        Check.Equal(UtpPunchStage.NothingHeard, result.Stage);
        Check.That(result.ProbesSent is > 0 and <= 8 * 8, $"{result.ProbesSent} probes");

        static byte[] Host(byte last, int port) => [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 127, 0, 0, last, (byte)(port >> 8), (byte)port];
    }

    [Fact("peers with different secrets, or of which one has none, learn that from the other's offer")]
    public static async Task Secrets()
    {
        await using var one = await Pair.BindAsync();
        await using var other = await Pair.BindAsync();
        using var offer = await one.CreateOfferAsync([], new UtpPunchOptions { Secret = "a" }).AsTask().Within();
        using var theirs = await other.CreateOfferAsync([], new UtpPunchOptions { Secret = "b" }).AsTask().Within();
        using var open = await other.CreateOfferAsync([]).AsTask().Within();
        foreach (var call in new Func<Task>[]
        {
            () => one.PunchAsync(offer, theirs.Text).AsTask(),
            () => other.PunchAsync(theirs, offer.Text).AsTask(),
            () => one.PunchAsync(offer, open.Text).AsTask(),
            () => other.PunchAsync(open, offer.Text).AsTask(),
            () => other.CreateAnswerAsync(offer.Text, []).AsTask(),
            () => other.CreateAnswerAsync(open.Text, [], new UtpPunchOptions { Secret = "a" }).AsTask(),
        })
        {
            Check.Equal(UtpError.OfferNotAuthentic, (await Check.ThrowsAsync<UtpException>(() => call().Within())).Error);
        }
    }

    [Fact("who changes an offer on its way, or copies only its addresses, is not heard")]
    public static async Task Changed()
    {
        await using var one = await Pair.BindAsync();
        await using var other = await Pair.BindAsync();
        using var offer = await one.CreateOfferAsync([], s_short).AsTask().Within();
        using var theirs = await other.CreateOfferAsync([], s_short).AsTask().Within();
        var bytes = Base64Url.DecodeFromChars(offer.Text);

        // Whether birthday probing is allowed.
        bytes[69 + 5 + 16] ^= 1;
        SHA256.HashData(bytes.AsSpan(0, bytes.Length - 4)).AsSpan(0, 4).CopyTo(bytes.AsSpan(bytes.Length - 4));
        var results = await Task.WhenAll(
            one.PunchAsync(offer, theirs.Text).AsTask(), other.PunchAsync(theirs, Base64Url.EncodeToString(bytes)).AsTask()).Within();
        foreach (var result in results)
        {
            Check.Equal(UtpPunchStage.NothingHeard, result.Stage);
        }
    }

    [Fact("STUN servers that do not answer are named; one that does is enough; a punch can be cancelled, and ends with its node")]
    public static async Task Ends()
    {
        await using var server = UtpRendezvousServer.Bind(new UtpRendezvousServerOptions { LocalEndPoints = [Loopback], EnableStun = true });
        await using var node = await Pair.BindAsync();
        await using var other = await Pair.BindAsync();
        using var silent = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        silent.Bind(Loopback);
        var address = (IPEndPoint)silent.LocalEndPoint!;
        var error = await Check.ThrowsAsync<UtpException>(() => node.CreateOfferAsync([address]).AsTask().Within());
        Check.Equal(UtpError.DiscoveryFailed, error.Error);
        Check.That(error.Message.Contains($"{address}", StringComparison.Ordinal), error.Message);

        using var offer = await node.CreateOfferAsync([address, server.LocalEndPoints[0]]).AsTask().Within();
        Check.Equal(node.LocalEndPoint, offer.ObservedEndPoint);
        using var theirs = await other.CreateOfferAsync([]).AsTask().Within();
        using var cancel = new CancellationTokenSource();
        var punch = node.PunchAsync(offer, theirs.Text, cancel.Token).AsTask();
        await cancel.CancelAsync();
        await Check.ThrowsAsync<OperationCanceledException>(() => punch.Within());

        punch = node.PunchAsync(offer, theirs.Text).AsTask();
        await node.DisposeAsync();
        await Check.ThrowsAsync<Exception>(() => punch.Within());
        await Check.ThrowsAsync<ObjectDisposedException>(() => node.CreateOfferAsync([]).AsTask());
    }

    private static IPEndPoint Loopback => new(IPAddress.Loopback, 0);

    private static async Task<UtpPunchResult[]> PunchAsync(UtpNode one, UtpPunchOffer offer, UtpNode other, UtpPunchOffer theirs) =>
        await Task.WhenAll(one.PunchAsync(offer, theirs.Text).AsTask(), other.PunchAsync(theirs, offer.Text).AsTask()).Within();
}
