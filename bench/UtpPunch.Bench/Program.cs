using System.Globalization;
using UtpPunch.Bench;

if (args is ["sink" or "source", ..])
{
    return await Roles.PlayAsync(args);
}

var rounds = 3;

if (args is ["sim"])
{
    SimBench.Report();
    return 0;
}

if (args is ["meet"])
{
    await MeetBench.ReportAsync();
    return 0;
}

if (args is not [] and not ["core"] && !(args is ["--rounds", var text] && int.TryParse(text, out rounds) && rounds > 0))
{
    Console.Error.WriteLine("usage: bench [core | sim | meet | --rounds N]");
    return 2;
}

// The best of five, in turns: whatever else the machine does only adds.
var runs = Enumerable.Range(0, 5).Select(_ => (Plain: CoreBench.Run(1_000_000_000, false), Recorded: CoreBench.Run(1_000_000_000, true))).ToArray();
var core = runs.Min(run => run.Plain);
var recorded = runs.Min(run => run.Recorded);
Console.WriteLine(string.Create(
    CultureInfo.InvariantCulture,
    $"core alone, two nodes in memory, 1400-byte packets: {core.Nanoseconds:F0} ns and {core.Garbage:F0} B of garbage a packet, both ends together"));
Console.WriteLine(string.Create(
    CultureInfo.InvariantCulture,
    $"the same, recorded with hashes at both ends: {recorded.Nanoseconds:F0} ns and {recorded.Garbage:F0} B; {recorded.Nanoseconds - core.Nanoseconds:F0} ns for the recording"));

if (args is not ["core"])
{
    SimBench.Report();
    await MeetBench.ReportAsync();
    await Throughput.RunAsync(rounds);
}

return 0;
