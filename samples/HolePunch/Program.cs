using System.Net;
using UtpPunch;

// HolePunch RELAY-IP:PORT INFOHASH: asks a peer of a torrent that can be reached, the relay, to introduce this one to peers behind NATs (BEP 55).
// Their endpoints, as the relay sees them, are read from standard input, a line each; BitTorrent clients have them from ut_pex (BEP 11).
const byte OwnNumber = 3;
var relayEndPoint = IPEndPoint.Parse(args[0]);
var infoHash = Convert.FromHexString(args[1]);
var handshake = "d1:md12:ut_holepunchi3eee"u8.ToArray();
var isConnected = false;

// libtorrent has no half-close, and forgets a stream when it ends it: there is nothing to wait for at the end.
await using var node = await UtpNode.BindAsync(new UtpNodeOptions { ShutdownTimeout = TimeSpan.Zero });
await using var listener = node.Listen();
using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
await using var relayStream = await node.ConnectAsync(relayEndPoint, cancellationToken: limit.Token);
var relay = new PeerWire(relayStream);
await relay.ShakeHandsAsync(infoHash, limit.Token);
await relay.WriteAsync(0, handshake, limit.Token);
var relayNumber = PeerWire.NumberOf("ut_holepunch", await ReadHandshakeAsync(relay, limit.Token));
if (relayNumber == 0)
{
    Console.WriteLine("The relay does not support BEP 55.");
    return 1;
}

Console.WriteLine($"connected to the relay {relayEndPoint}");
while (Console.ReadLine() is { } line)
{
    using var time = new CancellationTokenSource(TimeSpan.FromSeconds(20));
    var target = IPEndPoint.Parse(line);
    await relay.WriteAsync(relayNumber, new HolepunchMessage(HolepunchKind.Rendezvous, target).ToBytes(), time.Token);
    var answer = await ReadAnswerAsync(target, time.Token);
    if (answer.Kind == HolepunchKind.Error)
    {
        Console.WriteLine($"{target}: {answer.Error} ({(uint)answer.Error})");
        continue;
    }

    // The relay has told the peer the same.
    if (await ConnectAsync(target, time.Token) is { } id)
    {
        Console.WriteLine($"{target}: connected to {id}");
        isConnected = true;
    }
    else
    {
        Console.WriteLine($"{target}: no connection");
    }
}

return isConnected ? 0 : 4;

// Both peers open a stream, and both may succeed; then one of the peers closes one of them, which is the other's only if both choose alike. So
// this one keeps what the peer keeps.
async Task<string?> ConnectAsync(IPEndPoint target, CancellationToken cancellationToken)
{
    using var others = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
    var timeout = TimeSpan.FromSeconds(10);
    var options = new UtpConnectOptions { Simultaneous = true, Timeout = timeout };
    var own = GreetAsync(node.ConnectAsync(target, options, others.Token).AsTask(), others.Token);
    var peers = GreetAsync(AcceptAsync(target, others.Token), others.Token);
    await foreach (var greeting in Task.WhenEach(own, peers))
    {
        if (await greeting is { } id)
        {
            await others.CancelAsync();
            return id;
        }

        others.CancelAfter(timeout);
    }

    return null;
}

// The id of the peer, if it keeps the stream for a second after the handshakes.
async Task<string?> GreetAsync(Task<UtpStream> opening, CancellationToken cancellationToken)
{
    try
    {
        var stream = await opening;
        var peer = new PeerWire(stream);
        var id = await peer.ShakeHandsAsync(infoHash, cancellationToken);
        await peer.WriteAsync(0, handshake, cancellationToken);
        await ReadHandshakeAsync(peer, cancellationToken);
        var next = ReadHandshakeAsync(peer, CancellationToken.None);
        return await Task.WhenAny(next, Task.Delay(TimeSpan.FromSeconds(1), cancellationToken)) == next ? null : id;
    }
    catch (Exception error) when (error is IOException or InvalidDataException or OperationCanceledException)
    {
        return null;
    }
}

// A stream that the peer has opened. Its NAT may show another port than the relay has seen.
async Task<UtpStream> AcceptAsync(IPEndPoint target, CancellationToken cancellationToken)
{
    while (true)
    {
        var stream = await listener.AcceptAsync(cancellationToken);
        if (stream.RemoteEndPoint.Address.Equals(target.Address))
        {
            return stream;
        }

        stream.Abort();
    }
}

async Task<HolepunchMessage> ReadAnswerAsync(IPEndPoint target, CancellationToken cancellationToken)
{
    while (true)
    {
        var (number, payload) = await relay.ReadAsync(cancellationToken);
        if (number == OwnNumber && HolepunchMessage.Parse(payload) is { Kind: not HolepunchKind.Rendezvous } answer && answer.Peer.Equals(target))
        {
            return answer;
        }
    }
}

static async Task<byte[]> ReadHandshakeAsync(PeerWire peer, CancellationToken cancellationToken)
{
    while (true)
    {
        if (await peer.ReadAsync(cancellationToken) is (0, var payload))
        {
            return payload;
        }
    }
}
