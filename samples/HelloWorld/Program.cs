using System.Net;
using System.Text;
using UtpPunch;

await using var server = UtpNode.Bind(new IPEndPoint(IPAddress.Loopback, 0)); // bind to any port of 127.0.0.1
var serving = ServeAsync(server.Listen());
Console.WriteLine("server: ready");

await using var client = await UtpNode.BindAsync(); // bind to any port
await using (var socket = await client.ConnectAsync(server.LocalEndPoint))
{
    Console.WriteLine("client: socket connected");
    await socket.WriteAsync("hello"u8.ToArray());
    var data = new byte[1024];
    while (await socket.ReadAsync(data) is > 0 and var count)
        Console.WriteLine($"client: received '{Encoding.UTF8.GetString(data, 0, count)}'");
    Console.WriteLine("client: socket disconnected");
}

await serving;

async Task ServeAsync(UtpListener listener)
{
    await using var socket = await listener.AcceptAsync();
    Console.WriteLine("server: socket connected");
    var data = new byte[1024];
    while (await socket.ReadAsync(data) is > 0 and var count)
    {
        Console.WriteLine($"server: received '{Encoding.UTF8.GetString(data, 0, count)}'");
        await socket.WriteAsync("world"u8.ToArray());
        socket.CompleteWrites();
    }

    Console.WriteLine("server: socket disconnected");
}
