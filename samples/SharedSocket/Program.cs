using System.Net;
using System.Net.Sockets;
using System.Text;
using UtpPunch;

// A game and a stream over one UDP socket: two players in one process exchange moves as datagrams of their own, and a file as a stream.
var moves = 0;
var (here, there) = (Open(), Open());
await using var player = await UtpNode.BindAsync(new UtpNodeOptions { TransportFactory = _ => new SharedSocket(here, (_, _) => { }) });
await using var opponent = await UtpNode.BindAsync(new UtpNodeOptions
{
    TransportFactory = _ => new SharedSocket(there, (_, _) => Interlocked.Increment(ref moves)),
});
var receiving = ReceiveAsync(opponent.Listen());
await using (var stream = await player.ConnectAsync(opponent.LocalEndPoint))
{
    for (var turn = 0; turn < 10; turn++)
    {
        here.SendTo(Encoding.UTF8.GetBytes($"G move {turn}"), opponent.LocalEndPoint);
        await stream.WriteAsync(new byte[100_000]);
    }

    await stream.CloseAsync();
}

Console.WriteLine($"received {await receiving} bytes and {moves} moves over one port");

static Socket Open()
{
    var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
    socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
    return socket;
}

static async Task<long> ReceiveAsync(UtpListener listener)
{
    await using var stream = await listener.AcceptAsync();
    var content = new MemoryStream();
    await stream.CopyToAsync(content);
    return content.Length;
}
