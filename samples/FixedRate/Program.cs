using System.Globalization;
using System.Net;
using UtpPunch;

// Sends 2 MB at a rate that is given in bytes per second: FixedRate 4000000
const int Count = 2_000_000;
var rate = args is [var number] ? long.Parse(number, CultureInfo.InvariantCulture) : 4_000_000;
#pragma warning disable UTPPUNCH001 // Own controllers are experimental: their interface may change with a minor version.
var control = UtpCongestionControl.Create("fixed-rate", from => new FixedRateController(rate, from.Packet, from.RoundTrip));
#pragma warning restore UTPPUNCH001

var anyPort = new UtpNodeOptions { LocalEndPoint = new IPEndPoint(IPAddress.Loopback, 0) };
await using var server = await UtpNode.BindAsync(anyPort);
var receiving = ReceiveAsync(server.Listen());
await using var client = await UtpNode.BindAsync(anyPort);
await using (var stream = await client.ConnectAsync(server.LocalEndPoint, new UtpConnectOptions { CongestionControl = control }))
{
    await stream.WriteAsync(new byte[Count]);
    await stream.DrainAsync();
    var statistics = stream.GetStatistics();
    Console.WriteLine($"{stream.CongestionControl}: phase '{statistics.Phase}', {statistics.PacingRate} bytes per second");
    stream.CompleteWrites();
}

Console.WriteLine($"received {await receiving} bytes");

static async Task<long> ReceiveAsync(UtpListener listener)
{
    await using var stream = await listener.AcceptAsync();
    var content = new MemoryStream();
    await stream.CopyToAsync(content);
    stream.CompleteWrites();
    return content.Length;
}
