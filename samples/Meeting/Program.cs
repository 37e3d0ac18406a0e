using System.Net;
using System.Text;
using UtpPunch;

// On both machines: UTP_SECRET=... Meeting RENDEZVOUS-IP:PORT ROOM
var options = new UtpPunchOptions { Secret = Environment.GetEnvironmentVariable("UTP_SECRET") };
await using var node = await UtpNode.BindAsync();
var rendezvous = new UtpRendezvousClient(node, IPEndPoint.Parse(args[0]));
await using var stream = await rendezvous.ConnectAsync(args[1], options);
Console.WriteLine($"{node.LocalEndPoint} is connected to {stream.RemoteEndPoint}");

await stream.WriteAsync(Encoding.UTF8.GetBytes($"hello from {Environment.ProcessId}"));
stream.CompleteWrites();
Console.WriteLine(await new StreamReader(stream).ReadToEndAsync());
