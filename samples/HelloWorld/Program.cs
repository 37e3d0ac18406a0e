using System.Net;
using UtpPunch;

var anyPort = new UtpNodeOptions { LocalEndPoint = new IPEndPoint(IPAddress.Loopback, 0) };
await using var server = await UtpNode.BindAsync(anyPort);
var serving = ServeAsync(server.Listen());
Console.WriteLine("server: ready");

await using var client = await UtpNode.BindAsync(anyPort);
await using (var stream = await client.ConnectAsync(server.LocalEndPoint))
{
    Console.WriteLine("client: socket connected");
    await stream.WriteAsync("hello"u8.ToArray());
    stream.CompleteWrites(); // the server reads the end after "hello"
    var text = await new StreamReader(stream).ReadToEndAsync();
    Console.WriteLine($"client: received '{text}'");
    Console.WriteLine("client: socket disconnected");
}

await serving;

async Task ServeAsync(UtpListener listener)
{
    await using var stream = await listener.AcceptAsync();
    Console.WriteLine("server: socket connected");
    var text = await new StreamReader(stream).ReadToEndAsync();
    Console.WriteLine($"server: received '{text}'");
    await stream.WriteAsync("world"u8.ToArray());
    stream.CompleteWrites();
    Console.WriteLine("server: socket disconnected");
}
