using System.Globalization;
using UtpPunch.Bench;

if (args is ["sink" or "source", ..])
{
    return await Roles.PlayAsync(args);
}

var rounds = 3;

if (args is not [] and not ["core"] && !(args is ["--rounds", var text] && int.TryParse(text, out rounds) && rounds > 0))
{
    Console.Error.WriteLine("usage: bench [core | --rounds N]");
    return 2;
}

// The best of five: whatever else the machine does only adds.
var core = Enumerable.Range(0, 5).Select(_ => CoreBench.Run(1_000_000_000)).MinBy(result => result.Nanoseconds);
Console.WriteLine(string.Create(
    CultureInfo.InvariantCulture,
    $"core alone, two nodes in memory, 1400-byte packets: {core.Nanoseconds:F0} ns and {core.Garbage:F0} B of garbage a packet, both ends together"));

if (args is not ["core"])
{
    await Throughput.RunAsync(rounds);
}

return 0;
