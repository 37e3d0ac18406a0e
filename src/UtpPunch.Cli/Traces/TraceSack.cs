using UtpPunch.Protocol;
using UtpPunch.Tracing;

namespace UtpPunch.Cli.Traces;

/// <summary>The sequence numbers of a selective acknowledgement: bit 0 of its first byte is `ack_nr + 2` (BEP 29), or ranges.</summary>
internal static class TraceSack
{
    public static List<int> Numbers(TracePacket packet)
    {
        if (packet.HasRanges)
        {
            var ranges = packet.Sack.AsBorrowed;
            var distances = Enumerable.Range(0, SackRanges.count(ranges))
                .SelectMany(range => Enumerable.Range(SackRanges.first(range, ranges), SackRanges.length(range, ranges)));
            return [.. distances.Select(distance => (packet.Header.AckNr.Value + distance) & 0xFFFF)];
        }

        var bits = packet.Sack.Span.ToArray();
        var first = packet.Header.AckNr.Value + 2;
        var named = Enumerable.Range(0, bits.Length * 8).Where(bit => (bits[bit / 8] >> (bit % 8) & 1) != 0);
        return [.. named.Select(bit => (first + bit) & 0xFFFF)];
    }

    /// <summary>Runs of numbers: "7-9,12".</summary>
    public static string Ranges(List<int> numbers)
    {
        var runs = new List<(int First, int Last)>();
        foreach (var number in numbers)
        {
            if (runs is [.., var (first, last)] && number == ((last + 1) & 0xFFFF))
            {
                runs[^1] = (first, number);
            }
            else
            {
                runs.Add((number, number));
            }
        }

        return string.Join(',', runs.Select(run => run.First == run.Last ? $"{run.First}" : $"{run.First}-{run.Last}"));
    }
}
