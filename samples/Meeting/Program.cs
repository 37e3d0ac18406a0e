using System.Net;
using System.Text;
using UtpPunch;

// On two machines: Meeting 192.0.2.1:42000 "the name of the room" "what only the two of them know"
await using var node = await UtpNode.BindAsync();
var rendezvous = new RendezvousClient(node, IPEndPoint.Parse(args[0]));
await using var stream = await rendezvous.ConnectAsync(args[1], new UtpMeetOptions { Secret = args[2] });
Console.WriteLine($"{node.LocalEndPoint} has met {stream.RemoteEndPoint}");

await stream.WriteAsync(Encoding.UTF8.GetBytes($"hello from {Environment.ProcessId}"));
stream.CompleteWrites();
Console.WriteLine(await new StreamReader(stream).ReadToEndAsync());
