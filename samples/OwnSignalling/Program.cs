using System.Net;
using System.Text;
using UtpPunch;

// On one machine: OwnSignalling offer STUN-IP:PORT...   On the other one: OwnSignalling answer STUN-IP:PORT...
// Each prints its offer as a line, and reads the other's from standard input: the two lines may travel in any way.
IPEndPoint[] stunServers = [.. args[1..].Select(IPEndPoint.Parse)];
await using var node = await UtpNode.BindAsync();
UtpPunchOffer own;
string peer;
if (args[0] == "offer")
{
    own = await node.CreateOfferAsync(stunServers);
    Console.WriteLine(own.Text);
    peer = Console.ReadLine()!;
}
else
{
    peer = Console.ReadLine()!;
    own = await node.CreateAnswerAsync(peer, stunServers);
    Console.WriteLine(own.Text);
}

var punch = await node.PunchAsync(own, peer);
Console.WriteLine(punch.Explanation);
if (!punch.Success)
{
    return 4;
}

await using var stream = await punch.Path.OpenAsync();
await stream.WriteAsync(Encoding.UTF8.GetBytes($"hello from {Environment.ProcessId}"));
stream.CompleteWrites();
Console.WriteLine(await new StreamReader(stream).ReadToEndAsync());
return 0;
