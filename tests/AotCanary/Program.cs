// A program that is compiled ahead of time, to test that the library supports it: a stream over loopback both ways, and its trace.
// The first argument is the file of the trace.

using System.Diagnostics;
using System.Net;
using System.Text;
using UtpPunch;

var loopback = new IPEndPoint(IPAddress.Loopback, 0);
await using var server = await UtpNode.BindAsync(new UtpNodeOptions { LocalEndPoint = loopback });
await using var client = await UtpNode.BindAsync(new UtpNodeOptions { LocalEndPoint = loopback, Trace = new UtpTraceOptions() });
Console.WriteLine($"ready after {(DateTime.Now - Process.GetCurrentProcess().StartTime).TotalMilliseconds:F0} ms");

var serving = ServeAsync(server.Listen());
await using (var stream = await client.ConnectAsync(server.LocalEndPoint))
{
    await stream.WriteAsync("hello"u8.ToArray(), completeWrites: true);
    Console.WriteLine(await new StreamReader(stream, Encoding.UTF8).ReadToEndAsync());
}

await serving;
await using (var trace = File.Create(args[0]))
{
    await client.WriteTraceAsync(trace);
}

Console.WriteLine("traced");

static async Task ServeAsync(UtpListener listener)
{
    await using var stream = await listener.AcceptAsync();
    await stream.CopyToAsync(stream);
    stream.CompleteWrites();
}
