using UtpPunch.Bench;

var (nanoseconds, garbage, packets) = CoreBench.Run(2_000_000_000);
Console.WriteLine($"core alone: {nanoseconds:F0} ns and {garbage:F0} B of garbage a packet, both ends together ({packets} packets)");
